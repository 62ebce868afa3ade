/* io/zip_layout.h: does a zip's directory describe members that lie one after the other? libzip does not say. */
#ifndef GRAPE_IO_ZIP_LAYOUT_H
#define GRAPE_IO_ZIP_LAYOUT_H

#include "io/source.h"

GR_BEGIN

/* GR_EFORMAT if the file is no zip, is one of several volumes, or has members that overlap each other or the directory:
 * the way in which a small archive unpacks to terabytes. The open file is read at places of its own; its position
 * stays. */
gr_status gr__zip_layout(const gr__source *s);

GR_END
#endif
