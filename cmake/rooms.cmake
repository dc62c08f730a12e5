# vt_room(NAME ROOMS room... LIBS target... WITHOUT regex): the static library vt_NAME made of every
# source in NAME/ but those that the expression matches. A directory that has no source yet makes no library; rooms that name it link nothing.
# vt_program(NAME SOURCES file... ROOMS room... LIBS target...): one of our programs.

set(VT_C_WARNINGS -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wformat=2 -Werror)
set(VT_CXX_WARNINGS -Wall -Wextra -Wconversion -Wshadow -Wformat=2 -Werror)

add_library(vt_flags INTERFACE)
target_include_directories(vt_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(vt_flags INTERFACE _GNU_SOURCE VT_VERSION="${PROJECT_VERSION}")
target_compile_options(vt_flags INTERFACE
    -fno-common -fstack-protector-strong
    $<$<COMPILE_LANGUAGE:C>:${VT_C_WARNINGS}>
    $<$<COMPILE_LANGUAGE:CXX>:${VT_CXX_WARNINGS}>)
if(VITRINE_SANITIZE)
    target_compile_options(vt_flags INTERFACE -fsanitize=${VITRINE_SANITIZE} -fno-omit-frame-pointer
                           -fno-sanitize-recover=all)
    target_link_options(vt_flags INTERFACE -fsanitize=${VITRINE_SANITIZE})
endif()

function(vt_room name)
    cmake_parse_arguments(ARG "" "WITHOUT" "ROOMS;LIBS" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${name}/*.c ${CMAKE_SOURCE_DIR}/${name}/*.cc)
    if(ARG_WITHOUT)
        list(FILTER sources EXCLUDE REGEX "${ARG_WITHOUT}")
    endif()
    if(NOT sources)
        return()
    endif()
    add_library(vt_${name} STATIC ${sources})
    target_link_libraries(vt_${name} PUBLIC vt_flags)
    foreach(room IN LISTS ARG_ROOMS)
        if(TARGET vt_${room})
            target_link_libraries(vt_${name} PUBLIC vt_${room})
        endif()
    endforeach()
    target_link_libraries(vt_${name} PUBLIC ${ARG_LIBS})
endfunction()

function(vt_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;ROOMS;LIBS" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE vt_flags)
    foreach(room IN LISTS ARG_ROOMS)
        if(TARGET vt_${room})
            target_link_libraries(${name} PRIVATE vt_${room})
        endif()
    endforeach()
    target_link_libraries(${name} PRIVATE ${ARG_LIBS})
endfunction()
