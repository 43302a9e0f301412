# What `cmake --install` puts where: the library twice, its headers, its descriptions for pkg-config and CMake, the daemon
# and the files that it serves. Configure with CONVENE_INSTALLED=ON, so that the programs look below the prefix.
include(CMakePackageConfigHelpers)

install(TARGETS convene_shared convene_static EXPORT convene-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS convened RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${CMAKE_BINARY_DIR}/convened.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(DIRECTORY include/convene DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY web/demo/ DESTINATION ${CMAKE_INSTALL_DATADIR}/convene/demo)
install(DIRECTORY web/node_modules/socket.io-client/dist/ DESTINATION ${CMAKE_INSTALL_DATADIR}/convene/client
        OPTIONAL FILES_MATCHING PATTERN "*.js" PATTERN "*.map")
install(FILES packaging/prometheus/convened.rules.yml DESTINATION ${CMAKE_INSTALL_DATADIR}/convene/prometheus)
install(FILES packaging/grafana/convened.json DESTINATION ${CMAKE_INSTALL_DATADIR}/convene/grafana)
install(DIRECTORY web/node_modules/@socket.io/admin-ui/ui/dist/ DESTINATION ${CMAKE_INSTALL_DATADIR}/convene/admin
        OPTIONAL PATTERN "*.map" EXCLUDE)
install(FILES web/node_modules/@mdi/font/css/materialdesignicons.min.css
        DESTINATION ${CMAKE_INSTALL_DATADIR}/convene/icons/css OPTIONAL)
install(FILES web/node_modules/@mdi/font/fonts/materialdesignicons-webfont.woff2
        DESTINATION ${CMAKE_INSTALL_DATADIR}/convene/icons/fonts OPTIONAL)

# pkg-config: relative to the file itself, so that an installed tree may be moved.
file(RELATIVE_PATH CONVENE_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(packaging/convene.pc.in ${CMAKE_BINARY_DIR}/convene.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/convene.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/convene)
install(EXPORT convene-targets NAMESPACE convene:: DESTINATION ${package})
configure_package_config_file(packaging/convene-config.cmake.in ${CMAKE_BINARY_DIR}/convene-config.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/convene-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/convene-config.cmake ${CMAKE_BINARY_DIR}/convene-config-version.cmake
        DESTINATION ${package})
