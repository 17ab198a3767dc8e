#include "CDashboard.h"

// #embed is C23; the compiler knows it in every mode and would only remark on it.
#pragma clang diagnostic ignored "-Wc23-extensions"

// Compiled in as it is: the executable needs no file beside it.
static const unsigned char page[] = {
#embed "dashboard.html"
};

size_t trunkline_dashboard_size(void) { return sizeof page; }

unsigned char trunkline_dashboard_byte(size_t index) { return index < sizeof page ? page[index] : 0; }
