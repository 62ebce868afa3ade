# Kernels compiled once per instruction set. ops/kernels/NAME.isa.c is compiled with -DGR_ISA=avx512, avx2 and base (on
# other machines than x86-64 only base, which is NEON on aarch64), and with GR_ISA_avx512=1 etc. to ask which by #if.
# It names its functions by pasting GR_ISA; the library picks one by CPUID at run time.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
    set(grape_isas avx512 avx2 base)
else()
    set(grape_isas base)
endif()
set(grape_isa_flags_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512)
set(grape_isa_flags_avx2 -mavx2 -mfma)
set(grape_isa_flags_base "")
# The kernels are written in vector types: the compiler's own vectorizer would only spoil their scalar tails.
set(grape_isa_flags_all -fno-tree-vectorize)

# grape_isa_objects(OUT FILE...): sets OUT to the objects. A file adds flags of its own by a line
# "compile with: FLAGS" in the comment that opens it.
function(grape_isa_objects out)
    set(objects "")
    foreach(isa ${grape_isas})
        if(ARGN)
            add_library(grape_${isa} OBJECT ${ARGN})
            target_compile_definitions(grape_${isa} PRIVATE GR_ISA=${isa} GR_ISA_${isa}=1)
            target_compile_options(grape_${isa} PRIVATE ${grape_isa_flags_all} ${grape_isa_flags_${isa}})
            target_link_libraries(grape_${isa} PRIVATE grape_settings)
            list(APPEND objects $<TARGET_OBJECTS:grape_${isa}>)
        endif()
    endforeach()
    foreach(source ${ARGN})
        file(STRINGS ${source} line REGEX "compile with: " LIMIT_COUNT 1)
        if(line MATCHES "compile with: ([-a-z0-9= ]*)")
            separate_arguments(flags UNIX_COMMAND "${CMAKE_MATCH_1}")
            set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${flags}")
        endif()
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    endforeach()
    set(${out} ${objects} PARENT_SCOPE)
endfunction()
