// busy MS TEXT: computes for MS milliseconds by the monotonic clock, then prints "done TEXT".
// Work between two looks at the clock takes well under a millisecond.

#include <time.h>

#include "arguments.h"

static const char USAGE[] = "busy MS TEXT (MS from 0 to 3600000)";

static uint64_t nanoseconds(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now)) _Exit(1);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv) {
    uint64_t wanted = number(argc, argv, 1, 3600000, USAGE) * 1000000u;
    if (argc != 3) usage(USAGE);
    uint64_t start = nanoseconds();
    volatile uint64_t work = 1;
    while (nanoseconds() - start < wanted)
        for (int step = 0; step < 20000; step++) work = work * 6364136223846793005u + 1442695040888963407u;
    say(STDOUT_FILENO, "done ");
    say(STDOUT_FILENO, argv[2]);
    say(STDOUT_FILENO, "\n");
    return 0;
}
