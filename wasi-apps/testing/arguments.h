// What the C test programs share: plain output without stdio, and arguments that are numbers or end the program.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Writes all of it; a host that refuses ends the program with exit code 1.
static void put(int fd, const char *bytes, size_t length) {
    while (length) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0) _Exit(1);
        bytes += written;
        length -= (size_t)written;
    }
}

static void say(int fd, const char *text) { put(fd, text, strlen(text)); }

static _Noreturn void usage(const char *text) {
    say(STDERR_FILENO, "usage: ");
    say(STDERR_FILENO, text);
    say(STDERR_FILENO, "\n");
    _Exit(2);
}

// The decimal number in argument index, or the usage text on stderr and exit code 2.
static uint64_t number(int argc, char **argv, int index, uint64_t most, const char *text) {
    if (index >= argc || !*argv[index]) usage(text);
    uint64_t value = 0;
    for (const char *at = argv[index]; *at; at++) {
        if (*at < '0' || *at > '9') usage(text);
        value = value * 10 + (uint64_t)(*at - '0');
        if (value > most) usage(text);
    }
    return value;
}

static void say_number(int fd, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    put(fd, digits + at, sizeof digits - at);
}
