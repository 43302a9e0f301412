# The checks of the sources and of what is built from them; each is a script of tools/ that also runs by hand.
set(tools ${PROJECT_SOURCE_DIR}/tools)
set(python /usr/bin/python3) # Debian's, whose modules the bootstrap installs

function(convene_check name)
    cmake_parse_arguments(ARG "" "TIMEOUT" "" ${ARGN})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 120)
    endif()
    add_test(NAME check.${name} COMMAND ${ARG_UNPARSED_ARGUMENTS})
    set_tests_properties(check.${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS check SKIP_RETURN_CODE 77)
endfunction()

# What is built, as users get it: without sanitizers.
if(NOT CONVENE_SANITIZE)
    convene_check(symbols ${tools}/check-symbols $<TARGET_FILE:convene_shared>)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" AND NOT CONVENE_SANITIZE)
    find_program(CONVENE_CXX NAMES g++ clang++)
    if(NOT CONVENE_CXX)
        set(CONVENE_CXX "")
    endif()
    convene_check(install ${tools}/check-install ${CMAKE_BINARY_DIR} ${CMAKE_C_COMPILER} "${CONVENE_CXX}" TIMEOUT 300)
    # Of a build of its own: what is packaged looks for its files below /usr.
    convene_check(package ${python} ${tools}/check-package TIMEOUT 600)
    set_tests_properties(check.package PROPERTIES PROCESSORS 2)
endif()

if(NOT CONVENE_CHECKS)
    return()
endif()

find_program(CONVENE_CXX NAMES g++ clang++)
if(NOT CONVENE_CXX)
    set(CONVENE_CXX "")
endif()
convene_check(headers ${tools}/check-headers ${CMAKE_C_COMPILER} "${CONVENE_CXX}")
convene_check(format ${tools}/check-format)
convene_check(layers ${python} ${tools}/check-layers)
convene_check(api-docs ${python} ${tools}/check-api-docs ${CMAKE_BINARY_DIR}/api-docs)
convene_check(packet-journey ${python} ${tools}/check-packet-journey)
convene_check(api-map ${python} ${tools}/check-api-map)
convene_check(config-docs ${python} ${tools}/check-config-docs $<TARGET_FILE:convened>)
convene_check(cppcheck ${tools}/check-cppcheck ${CMAKE_BINARY_DIR} TIMEOUT 600)
convene_check(clang-tidy ${tools}/check-tidy ${CMAKE_BINARY_DIR} TIMEOUT 1200)
set_tests_properties(check.clang-tidy PROPERTIES PROCESSORS 2)
foreach(what Layers Symbols PacketJourney ApiDocs ApiMap ConfigDocs)
    convene_check(selftest.${what} ${python} ${PROJECT_SOURCE_DIR}/tests/checks/test_checks.py ${what})
endforeach()

# clang-tidy judges a file again only when it or a header has changed: a stamp a file, kept by ninja.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.h ${PROJECT_SOURCE_DIR}/include/*.h
     ${PROJECT_SOURCE_DIR}/daemon/*.h)
file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
     ${PROJECT_SOURCE_DIR}/src/*.c ${PROJECT_SOURCE_DIR}/daemon/*.c ${PROJECT_SOURCE_DIR}/bench/*.c
     ${PROJECT_SOURCE_DIR}/examples/*.c)
list(FILTER sources EXCLUDE REGEX node_modules)
set(stamps)
foreach(source ${sources})
    set(stamp ${CMAKE_BINARY_DIR}/tidy/${source}.ok)
    get_filename_component(folder ${stamp} DIRECTORY)
    add_custom_command(OUTPUT ${stamp}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
        COMMAND clang-tidy --quiet -p ${CMAKE_BINARY_DIR} ${PROJECT_SOURCE_DIR}/${source}
        COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
        DEPENDS ${PROJECT_SOURCE_DIR}/${source} ${headers} ${PROJECT_SOURCE_DIR}/.clang-tidy
        COMMENT "clang-tidy ${source}" VERBATIM)
    list(APPEND stamps ${stamp})
endforeach()
add_custom_target(tidy DEPENDS ${stamps})
