# The pages of the console: esbuild makes one script and one style sheet of console/web/, and a script for each large library that is
# loaded when it is needed (the deep zoom, the screens of virtual machines); all become constant arrays in console/pages_made.h. npm
# fetches what package-lock.json names, once for a build folder.
find_program(VT_NPM npm)
find_program(VT_NODE NAMES node nodejs)
if(NOT VT_NPM OR NOT VT_NODE)
    message(FATAL_ERROR "The pages of the console need node and npm to be built: apt-get install nodejs npm")
endif()

set(vt_web ${CMAKE_BINARY_DIR}/web)
set(vt_web_from ${CMAKE_SOURCE_DIR}/console/web)
file(MAKE_DIRECTORY ${vt_web} ${CMAKE_BINARY_DIR}/generated/console)
file(GLOB vt_web_sources CONFIGURE_DEPENDS ${vt_web_from}/*.js ${vt_web_from}/*.css)

add_custom_command(OUTPUT ${vt_web}/installed
    COMMAND ${CMAKE_COMMAND} -E copy ${vt_web_from}/package.json ${vt_web_from}/package-lock.json ${vt_web_from}/.npmrc ${vt_web}
    COMMAND ${CMAKE_COMMAND} -E chdir ${vt_web} ${VT_NPM} ci --ignore-scripts --no-audit --no-fund --loglevel=error
    COMMAND ${CMAKE_COMMAND} -E touch ${vt_web}/installed
    DEPENDS ${vt_web_from}/package.json ${vt_web_from}/package-lock.json ${vt_web_from}/.npmrc
    COMMENT "Fetching what the pages are built with" VERBATIM)
set(vt_web_made ${vt_web}/app.js ${vt_web}/app.css ${vt_web}/deepzoom.js ${vt_web}/screen.js)
add_custom_command(OUTPUT ${vt_web_made}
    COMMAND ${CMAKE_COMMAND} -E env NODE_PATH=${vt_web}/node_modules ${VT_NODE} ${vt_web}/node_modules/esbuild/bin/esbuild
            ${vt_web_from}/app.js ${vt_web_from}/app.css ${vt_web_from}/deepzoom.js ${vt_web_from}/screen.js --bundle --minify --format=esm
            --target=es2022 --charset=utf8 --legal-comments=none --log-level=warning --external:/deepzoom.js --external:/screen.js
            --outdir=${vt_web}
    DEPENDS ${vt_web}/installed ${vt_web_sources} COMMENT "Building the pages" VERBATIM)

list(JOIN vt_web_made "," vt_web_list)
set(vt_pages_made ${CMAKE_BINARY_DIR}/generated/console/pages_made.h)
add_custom_command(OUTPUT ${vt_pages_made}
    COMMAND ${CMAKE_COMMAND} -DOUT=${vt_pages_made} "-DFILES=${vt_web_from}/index.html,${vt_web_list}"
            -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${vt_web_from}/index.html ${vt_web_made} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
add_custom_target(vt_pages DEPENDS ${vt_pages_made})
add_dependencies(vt_console vt_pages)
target_include_directories(vt_console PRIVATE ${CMAKE_BINARY_DIR}/generated)
