// grow MIB: takes that much memory, a MiB at a time, and writes to each page so that it is really there.
// Prints "grew MIB MiB"; when the host refuses, "refused at N MiB" on stderr and exit code 1.

#include "arguments.h"

enum { PAGE = 65536, PAGES_PER_MIB = 16, TOUCH = 4096 };

int main(int argc, char **argv) {
    uint64_t wanted = number(argc, argv, 1, 4096, "grow MIB (MIB from 0 to 4096)");
    for (uint64_t taken = 0; taken < wanted; taken++) {
        size_t page = __builtin_wasm_memory_grow(0, PAGES_PER_MIB);
        if (page == SIZE_MAX) {
            say(STDERR_FILENO, "refused at ");
            say_number(STDERR_FILENO, taken);
            say(STDERR_FILENO, " MiB\n");
            return 1;
        }
        volatile char *memory = (volatile char *)(page * PAGE);
        for (size_t at = 0; at < PAGES_PER_MIB * PAGE; at += TOUCH) memory[at] = 1;
    }
    say(STDOUT_FILENO, "grew ");
    say_number(STDOUT_FILENO, wanted);
    say(STDOUT_FILENO, " MiB\n");
    return 0;
}
