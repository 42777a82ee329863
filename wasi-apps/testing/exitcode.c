// exitcode N: exits with the number N, any that WASI can carry (hosts differ from 126 upwards).

#include <wasi/api.h>

#include "arguments.h"

int main(int argc, char **argv) {
    __wasi_proc_exit((uint32_t)number(argc, argv, 1, UINT32_MAX, "exitcode N (N from 0 to 4294967295)"));
}
