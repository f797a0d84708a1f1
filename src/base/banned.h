/* Included last in every C file through the build (-include): functions that have no place here. */
#ifndef STILE_BASE_BANNED_H
#define STILE_BASE_BANNED_H
/* filled in by the implementation of base */
#endif
