/* core/info.h: what this build of Grape is and what it found on this machine: `grape info`, and banners. */
#ifndef GRAPE_CORE_INFO_H
#define GRAPE_CORE_INFO_H

#include "core/status.h"

GR_BEGIN

/* "0.1.0" */
GR_API const char *gr_version(void);
/* One line: "Grape 0.1.0, AMD EPYC 9R14 (avx512), 2 threads, OpenBLAS 0.3.21 (SkylakeX)". Opens the BLAS library.
 * Returns buf. */
GR_API const char *gr_info_banner(char *buf, size_t size);
/* The table of `grape info`: version, CPU and vector width, threads, BLAS library and core, optional parts and
 * programs. */
GR_API gr_status gr_info_print(FILE *f);

GR_END
#endif
