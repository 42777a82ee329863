// A command taken apart: words, numbers, descriptors by number or letter, and the words that say how.

#include <wasi/api.h>

#include "../arguments.h"
#include "../errnos.h"

static const char USAGE[] = "calls COMMAND... (for example `path_open 3 a creat write as f`)";
static const uint64_t HOUR = 3600ull * 1000000000;
enum { LARGEST = 1 << 18, MOST_ENTRIES = 4096, PREOPEN = 3 };

static char buffer[LARGEST];
static char *at;                 // what is left of the command
static __wasi_fd_t named[26];    // what path_open gave, by letter

static void print(const char *text) { say(STDOUT_FILENO, text); }
static void print_number(uint64_t value) { say_number(STDOUT_FILENO, value); }

static void field(const char *name, uint64_t value) {
    print(" "), print(name), print(" "), print_number(value);
}

static void result(__wasi_errno_t error) { print(errno_name(error)); }

static int hex(char digit) { return digit >= 'a' ? digit - 'a' + 10 : digit - '0'; }

// The next word with %xx decoded, "" when there is none; `""` is empty too.
static char *word(void) {
    char *begin = at, *end = at;
    while (*at && *at != ' ') {
        if (*at == '%') {
            *end++ = (char)(hex(at[1]) << 4 | hex(at[2]));
            at += 3;
        } else *end++ = *at++;
    }
    if (*at) at++;
    *end = 0;
    return strcmp(begin, "\"\"") ? begin : "";
}

static int is(const char *left, const char *right) { return !strcmp(left, right); }

static uint64_t value(const char *text) {
    uint64_t sum = 0;
    int negative = *text == '-';
    for (text += negative; *text; text++) {
        if (*text < '0' || *text > '9') usage(USAGE);
        sum = sum * 10 + (uint64_t)(*text - '0');
    }
    return negative ? -sum : sum;
}

static uint64_t next_value(void) { return value(word()); }

static __wasi_fd_t fd_of(const char *text) {
    if (*text >= 'a' && *text <= 'z' && !text[1]) return named[*text - 'a'];
    return (__wasi_fd_t)value(text);
}

static __wasi_fd_t next_fd(void) { return fd_of(word()); }


typedef struct {
    __wasi_lookupflags_t lookup;
    __wasi_oflags_t open;
    __wasi_fdflags_t flags;
    __wasi_rights_t rights;
    __wasi_fstflags_t times;
    __wasi_timestamp_t atim, mtim;
    char name;
} Options;

static int named_option(Options *options, const char *text) {
    static const struct { const char *name; size_t field; uint64_t bits; } NAMES[] = {
#define OPTION(name, field, bits) {name, offsetof(Options, field), bits}
        OPTION("creat", open, __WASI_OFLAGS_CREAT), OPTION("directory", open, __WASI_OFLAGS_DIRECTORY),
        OPTION("excl", open, __WASI_OFLAGS_EXCL), OPTION("trunc", open, __WASI_OFLAGS_TRUNC),
        OPTION("append", flags, __WASI_FDFLAGS_APPEND), OPTION("dsync", flags, __WASI_FDFLAGS_DSYNC),
        OPTION("nonblock", flags, __WASI_FDFLAGS_NONBLOCK), OPTION("rsync", flags, __WASI_FDFLAGS_RSYNC),
        OPTION("sync", flags, __WASI_FDFLAGS_SYNC), OPTION("atim_now", times, __WASI_FSTFLAGS_ATIM_NOW),
        OPTION("mtim_now", times, __WASI_FSTFLAGS_MTIM_NOW),
    };
    for (size_t index = 0; index < sizeof NAMES / sizeof *NAMES; index++) {
        if (!is(text, NAMES[index].name)) continue;
        *(uint16_t *)((char *)options + NAMES[index].field) |= (uint16_t)NAMES[index].bits;
        return 1;
    }
    return 0;
}

static Options rest(void) {
    Options options = {.lookup = __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW};
    while (*at) {
        const char *text = word();
        if (is(text, "nofollow")) options.lookup = 0;
        else if (is(text, "as")) options.name = *word();
        else if (is(text, "read")) options.rights |= __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_READDIR;
        else if (is(text, "write")) options.rights |= __WASI_RIGHTS_FD_WRITE;
        else if (is(text, "atim")) options.times |= __WASI_FSTFLAGS_ATIM, options.atim = next_value();
        else if (is(text, "mtim")) options.times |= __WASI_FSTFLAGS_MTIM, options.mtim = next_value();
        else if (!named_option(&options, text)) usage(USAGE);
    }
    return options;
}
