# What `cmake --install` puts where. DESTDIR and CMAKE_INSTALL_PREFIX work as usual. Data (/var/lib/vitrine) and a configuration that is
# there are never touched: an upgrade is an install and a restart.
set(VT_UNIT_DIR lib/systemd/system CACHE STRING "folder of systemd units below the prefix")

foreach(program vitrine vitrined vitrine-poold vitrine-poolsim)
    if(TARGET ${program})
        install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
endforeach()

# Filled when it is installed, since --prefix may differ from what was configured. systemd's own "@system-service" stays: it has no
# second '@' in its word.
install(CODE "
    set(VT_BIN_DIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
    set(VT_CONF_DIR \"${VT_CONF_DIR}\")
    foreach(unit vitrined vitrine-poold)
        configure_file(\"${CMAKE_SOURCE_DIR}/conf/\${unit}.service.in\" \"${CMAKE_BINARY_DIR}/\${unit}.service\" @ONLY)
    endforeach()")
install(FILES ${CMAKE_BINARY_DIR}/vitrined.service ${CMAKE_BINARY_DIR}/vitrine-poold.service DESTINATION ${VT_UNIT_DIR})

if(EXISTS ${CMAKE_SOURCE_DIR}/conf/vitrine.conf)
    # Always the example; the configuration itself only when there is none.
    install(FILES conf/vitrine.conf DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/vitrine)
    install(CODE "
        set(conf \"\$ENV{DESTDIR}${VT_CONF_DIR}/vitrine.conf\")
        if(EXISTS \"\${conf}\")
            message(STATUS \"Kept: \${conf}\")
        else()
            file(INSTALL DESTINATION \"${VT_CONF_DIR}\" TYPE FILE
                 FILES \"${CMAKE_SOURCE_DIR}/conf/vitrine.conf\")
        endif()")
endif()

install(FILES docs/man/vitrine.1 docs/man/vitrine-poolsim.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES docs/man/vitrined.8 docs/man/vitrine-poold.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES docs/man/vitrine.conf.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)

if(TARGET vitrine)
    install(FILES ${CMAKE_BINARY_DIR}/completion.bash
            DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME vitrine)
    install(FILES ${CMAKE_BINARY_DIR}/completion.zsh
            DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _vitrine)
endif()
