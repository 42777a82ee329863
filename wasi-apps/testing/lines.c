// lines [MS]: answers each line of stdin with its number, as soon as it is there; at the end it says how many there were.
// With MS it waits for so many milliseconds at a time, and writes a dot whenever nothing came.

#include <poll.h>
#include <string.h>

#include "arguments.h"

static char text[65536];

static void wait_for_more(int milliseconds) {
    struct pollfd wanted = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&wanted, 1, milliseconds) == 0) say(STDOUT_FILENO, ".\n");
}

int main(int argc, char **argv) {
    int patience = argc > 1 ? (int)number(argc, argv, 1, 3600000, "lines [MS] (MS from 0 to 3600000)") : -1;
    size_t length = 0;
    uint64_t lines = 0;
    for (;;) {
        if (patience >= 0) wait_for_more(patience);
        ssize_t more = read(STDIN_FILENO, text + length, sizeof text - length);
        if (more < 0) return 1;
        if (more == 0) break;
        length += (size_t)more;
        for (char *end; (end = memchr(text, '\n', length));) {
            say_number(STDOUT_FILENO, ++lines);
            say(STDOUT_FILENO, ": ");
            put(STDOUT_FILENO, text, (size_t)(end + 1 - text));
            length -= (size_t)(end + 1 - text);
            memmove(text, end + 1, length);
        }
        // A line without end is cut.
        if (length == sizeof text) length = 0;
    }
    say_number(STDOUT_FILENO, lines);
    say(STDOUT_FILENO, " lines\n");
    return 0;
}
