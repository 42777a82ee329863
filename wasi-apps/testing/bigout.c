// bigout N [stdout|stderr]: writes exactly N bytes, lines of 64: the offset of the line in 16 digits, dots, a newline.

#include "arguments.h"

static const char USAGE[] = "bigout N [stdout|stderr] (N from 0 to 17179869184 bytes)";
enum { LINE = 64, DIGITS = 16, LINES = 1024 };

static int output(int argc, char **argv) {
    if (argc > 3) usage(USAGE);
    if (argc < 3 || !strcmp(argv[2], "stdout")) return STDOUT_FILENO;
    if (!strcmp(argv[2], "stderr")) return STDERR_FILENO;
    usage(USAGE);
}

static void fill(char *lines, uint64_t offset) {
    for (char *line = lines; line < lines + LINES * LINE; line += LINE, offset += LINE) {
        uint64_t rest = offset;
        for (int digit = DIGITS; digit--; rest /= 10) line[digit] = (char)('0' + rest % 10);
    }
}

int main(int argc, char **argv) {
    static char lines[LINES * LINE];
    uint64_t wanted = number(argc, argv, 1, (uint64_t)16 << 30, USAGE);
    int fd = output(argc, argv);
    memset(lines, '.', sizeof lines);
    for (size_t end = LINE - 1; end < sizeof lines; end += LINE) lines[end] = '\n';
    for (uint64_t offset = 0; offset < wanted; offset += sizeof lines) {
        fill(lines, offset);
        put(fd, lines, wanted - offset < sizeof lines ? (size_t)(wanted - offset) : sizeof lines);
    }
    return 0;
}
