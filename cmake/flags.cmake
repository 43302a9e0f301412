# Compiler and linker flags of everything that is built here.
include(CheckCCompilerFlag)

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
                    -Wpointer-arith -Wwrite-strings -Wvla -Wformat -Wformat-security
                    -Werror=implicit-function-declaration -Werror=format-security)
if(CONVENE_WERROR)
    add_compile_options(-Werror)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU") # guesses that depend on what was inlined: shown, not fatal
        add_compile_options(-Wno-error=stringop-overflow -Wno-error=format-truncation)
    endif()
endif()

# What Debian builds its network daemons with. The sanitizers bring their own, and fortify gets in their way.
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" AND NOT CONVENE_SANITIZE)
    add_compile_options(-fstack-protector-strong)
    foreach(flag stack-clash-protection cf-protection) # not on every processor
        check_c_compiler_flag(-f${flag} HAS_${flag})
        if(HAS_${flag})
            add_compile_options(-f${flag})
        endif()
    endforeach()
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,--as-needed)
endif()

# Fat objects, because libconvene.a goes to users who may link without the plugin.
if(CONVENE_LTO AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-flto=auto -ffat-lto-objects)
    add_link_options(-flto=auto)
endif()

if(CONVENE_SANITIZE)
    add_compile_options(-fsanitize=${CONVENE_SANITIZE} -fno-omit-frame-pointer
                        -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${CONVENE_SANITIZE})
endif()
