# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where, and the Debian package that `cpack` makes of it. Included after runsc exists.
include(GNUInstallDirs)

set(MANUAL ${CMAKE_BINARY_DIR}/manual)
add_custom_command(OUTPUT ${MANUAL}/stamp COMMAND ${CMAKE_SOURCE_DIR}/cmake/make_manual.sh $<TARGET_FILE:runsc> ${MANUAL}
  COMMAND ${CMAKE_COMMAND} -E touch ${MANUAL}/stamp DEPENDS runsc ${CMAKE_SOURCE_DIR}/cmake/make_manual.sh
  COMMENT "Manual pages and completions" VERBATIM)
add_custom_target(manual ALL DEPENDS ${MANUAL}/stamp)

install(TARGETS runsc RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${MANUAL}/man8 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${MANUAL}/bash/runsc DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${MANUAL}/zsh/_runsc DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${MANUAL}/fish/runsc.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

set(PACKAGING ${CMAKE_SOURCE_DIR}/cmake/debian)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME runsc-sandbox)
set(CPACK_PACKAGE_VERSION 0.1.0)
set(CPACK_PACKAGE_CONTACT "The runsc authors <authors@runsc.dev>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE amd64)
set(CPACK_DEBIAN_PACKAGE_CONFLICTS runsc)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "podman | docker.io | containerd")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "sandbox with a kernel of its own, an OCI runtime
runsc runs programs that are not trusted. Their kernel is an ordinary process:
the host's kernel hears of none of their system calls. Docker, podman and
containerd drive it as they drive runc.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PACKAGING}/postrm)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/packaging)
execute_process(COMMAND gzip -9nc ${PACKAGING}/changelog OUTPUT_FILE ${CMAKE_BINARY_DIR}/packaging/changelog.gz)
install(FILES ${CMAKE_BINARY_DIR}/packaging/changelog.gz ${PACKAGING}/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/runsc-sandbox)
install(FILES ${PACKAGING}/lintian-overrides RENAME runsc-sandbox DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides)
include(CPack)
