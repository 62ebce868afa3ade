/* core/export.h: what marks a public symbol, and the C/C++ wrapping of every public header. */
#ifndef GRAPE_CORE_EXPORT_H
#define GRAPE_CORE_EXPORT_H

#if defined(__GNUC__) || defined(__clang__)
#define GR_API              __attribute__((visibility("default")))
#define GR_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#else
#define GR_API
#define GR_PRINTF(fmt, arg)
#endif

#ifdef __cplusplus
#define GR_BEGIN extern "C" {
#define GR_END   }
#else
#define GR_BEGIN
#define GR_END
#endif

/* Layout of the public structs a user fills in (gr_op above all); raised when one of them changes. */
#define GR_ABI 1

#endif
