# The table of tags in dicom/tags.c, made from DCMTK's dictionary (package libdcmtk17) by tools/dictionary.c.
find_file(DCMTK_DICTIONARY dicom.dic HINTS /usr/share/libdcmtk17 /usr/share/dcmtk
          PATH_SUFFIXES libdcmtk17 dcmtk NO_CACHE REQUIRED)
set(vt_generated ${CMAKE_BINARY_DIR}/generated)
set(vt_dictionary_table ${vt_generated}/dicom/dictionary_table.inc)
file(MAKE_DIRECTORY ${vt_generated}/dicom)

add_executable(vt_dictionary ${CMAKE_SOURCE_DIR}/tools/dictionary.c)
set_target_properties(vt_dictionary PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${vt_generated})
add_custom_command(OUTPUT ${vt_dictionary_table}
    COMMAND vt_dictionary ${DCMTK_DICTIONARY} > ${vt_dictionary_table}
    DEPENDS vt_dictionary ${DCMTK_DICTIONARY} VERBATIM)
add_custom_target(vt_dictionary_made DEPENDS ${vt_dictionary_table})
add_dependencies(vt_dicom vt_dictionary_made)
target_include_directories(vt_dicom PRIVATE ${vt_generated})
