#ifndef CDASHBOARD_H
#define CDASHBOARD_H

#include <stddef.h>

/// The number of bytes of the dashboard page.
size_t trunkline_dashboard_size(void);

/// One byte of the dashboard page; 0 beyond its end.
unsigned char trunkline_dashboard_byte(size_t index);

#endif
