// calls COMMAND…: makes WASI calls one after the other and prints each as `COMMAND => ERRNO result`, so that what it
// prints is a transcript that can be given to it again. The commands are those of the table at the end.

#include <wasi/api.h>

#include "arguments.h"
#include "errnos.h"

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

// ---- words that say how ----

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

// ---- paths ----

static void path_open(void) {
    __wasi_fd_t fd = next_fd(), opened;
    const char *path = word();
    Options how = rest();
    __wasi_errno_t error =
        __wasi_path_open(fd, how.lookup, path, how.open, how.rights, how.rights, how.flags, &opened);
    if (!error && how.name) named[how.name - 'a'] = opened;
    result(error);
}

static void path_create_directory(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_path_create_directory(fd, word()));
}

static void path_remove_directory(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_path_remove_directory(fd, word()));
}

static void path_unlink_file(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_path_unlink_file(fd, word()));
}

static void path_rename(void) {
    __wasi_fd_t fd = next_fd();
    const char *old = word();
    __wasi_fd_t to = next_fd();
    result(__wasi_path_rename(fd, old, to, word()));
}

static void path_link(void) {
    __wasi_fd_t fd = next_fd();
    const char *old = word();
    __wasi_fd_t to = next_fd();
    const char *path = word();
    result(__wasi_path_link(fd, is(word(), "follow"), old, to, path));
}

static void path_symlink(void) {
    const char *target = word();
    __wasi_fd_t fd = next_fd();
    result(__wasi_path_symlink(target, fd, word()));
}

static void path_readlink(void) {
    __wasi_fd_t fd = next_fd();
    const char *path = word(), *size = word();
    __wasi_size_t used = 0;
    __wasi_errno_t error = __wasi_path_readlink(fd, path, (uint8_t *)buffer, *size ? value(size) : LARGEST, &used);
    result(error);
    if (!error && used) print(" "), put(STDOUT_FILENO, buffer, used);
}

// ---- what is known of a file ----

static const char *const TYPES[] = {"unknown", "block_device", "character_device", "directory",
                                    "regular_file", "socket_dgram", "socket_stream", "symbolic_link"};

static const char *type_name(__wasi_filetype_t type) { return type < 8 ? TYPES[type] : "no type"; }

// Sizes and links of directories are the file system's own affair.
static void print_stat(const __wasi_filestat_t *stat) {
    print(" "), print(type_name(stat->filetype));
    if (stat->filetype == __WASI_FILETYPE_REGULAR_FILE) field("links", stat->nlink);
    if (stat->filetype == __WASI_FILETYPE_REGULAR_FILE || stat->filetype == __WASI_FILETYPE_SYMBOLIC_LINK)
        field("size", stat->size);
}

static void print_time(const char *name, __wasi_timestamp_t time) {
    __wasi_timestamp_t now = 0;
    if (__wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 1, &now)) return;
    if (time + HOUR > now && time < now + HOUR) print(" "), print(name), print(" now");
    else field(name, time);
}

static void print_stat_or_times(__wasi_errno_t error, const __wasi_filestat_t *stat, int times) {
    result(error);
    if (error) return;
    if (times) print_time("atim", stat->atim), print_time("mtim", stat->mtim);
    else print_stat(stat);
}

static void path_stat(int times) {
    __wasi_fd_t fd = next_fd();
    const char *path = word();
    __wasi_filestat_t stat;
    print_stat_or_times(__wasi_path_filestat_get(fd, rest().lookup, path, &stat), &stat, times);
}

static void fd_stat(int times) {
    __wasi_filestat_t stat;
    print_stat_or_times(__wasi_fd_filestat_get(next_fd(), &stat), &stat, times);
}

static void path_filestat_get(void) { path_stat(0); }
static void path_times(void) { path_stat(1); }
static void fd_filestat_get(void) { fd_stat(0); }
static void fd_times(void) { fd_stat(1); }

// same FD PATH FD PATH: whether both are one file.
static void same(void) {
    __wasi_filestat_t stats[2];
    for (int index = 0; index < 2; index++) {
        __wasi_fd_t fd = next_fd();
        __wasi_errno_t error = __wasi_path_filestat_get(fd, 1, word(), &stats[index]);
        if (error) { result(error); return; }
    }
    print(stats[0].ino == stats[1].ino && stats[0].dev == stats[1].dev ? "yes" : "no");
}

// newer FD PATH FD PATH: by the time of the last change.
static void newer(void) {
    __wasi_filestat_t stats[2];
    for (int index = 0; index < 2; index++) {
        __wasi_fd_t fd = next_fd();
        __wasi_errno_t error = __wasi_path_filestat_get(fd, 1, word(), &stats[index]);
        if (error) { result(error); return; }
    }
    print(stats[0].mtim > stats[1].mtim ? "yes" : stats[0].mtim < stats[1].mtim ? "older" : "same");
}

static void path_filestat_set_times(void) {
    __wasi_fd_t fd = next_fd();
    const char *path = word();
    Options how = rest();
    result(__wasi_path_filestat_set_times(fd, how.lookup, path, how.atim, how.mtim, how.times));
}

static void fd_filestat_set_times(void) {
    __wasi_fd_t fd = next_fd();
    Options how = rest();
    result(__wasi_fd_filestat_set_times(fd, how.atim, how.mtim, how.times));
}

static void fd_filestat_set_size(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_fd_filestat_set_size(fd, next_value()));
}

static void fd_fdstat_get(void) {
    static const char *const FLAGS[] = {" append", " dsync", " nonblock", " rsync", " sync"};
    __wasi_fdstat_t stat;
    __wasi_errno_t error = __wasi_fd_fdstat_get(next_fd(), &stat);
    result(error);
    if (error) return;
    print(" "), print(type_name(stat.fs_filetype));
    for (int bit = 0; bit < 5; bit++)
        if (stat.fs_flags >> bit & 1) print(FLAGS[bit]);
    if (stat.fs_rights_base & __WASI_RIGHTS_FD_READ) print(" may_read");
    if (stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE) print(" may_write");
}

static void fd_fdstat_set_flags(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_fd_fdstat_set_flags(fd, rest().flags));
}

static void fd_fdstat_set_rights(void) {
    __wasi_fd_t fd = next_fd();
    uint64_t base = next_value();
    result(__wasi_fd_fdstat_set_rights(fd, base, next_value()));
}

// ---- bytes ----

// Several buffers over the same memory: sizes separated by commas.
static size_t buffers(char *sizes, __wasi_iovec_t *vectors) {
    size_t count = 0, used = 0;
    while (*sizes && count < 16) {
        char *end = strchr(sizes, ',');
        if (end) *end = 0;
        uint64_t length = value(sizes);
        vectors[count++] = (__wasi_iovec_t){(uint8_t *)buffer + used, length};
        used += length;
        sizes = end ? end + 1 : sizes + strlen(sizes);
    }
    return count;
}

static size_t texts(char *text, __wasi_ciovec_t *vectors) {
    size_t count = 0;
    while (*text && count < 16) {
        char *end = strchr(text, ',');
        if (end) *end = 0;
        vectors[count++] = (__wasi_ciovec_t){(uint8_t *)text, strlen(text)};
        text = end ? end + 1 : text + strlen(text);
    }
    return count;
}

static void print_read(__wasi_errno_t error, __wasi_size_t length) {
    result(error);
    if (error) return;
    for (size_t index = 0; index < length; index++)
        if (!buffer[index]) buffer[index] = '.';
    field("bytes", length);
    if (length) print(" "), put(STDOUT_FILENO, buffer, length);
}

static void fd_read(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_iovec_t vectors[16];
    size_t count = buffers(word(), vectors);
    __wasi_size_t length = 0;
    __wasi_errno_t error = __wasi_fd_read(fd, vectors, count, &length);
    print_read(error, length);
}

static void fd_pread(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_iovec_t vectors[16];
    size_t count = buffers(word(), vectors);
    __wasi_size_t length = 0;
    __wasi_errno_t error = __wasi_fd_pread(fd, vectors, count, next_value(), &length);
    print_read(error, length);
}

static void print_written(__wasi_errno_t error, __wasi_size_t length) {
    result(error);
    if (!error) field("bytes", length);
}

static void fd_write(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_ciovec_t vectors[16];
    size_t count = texts(word(), vectors);
    __wasi_size_t length = 0;
    __wasi_errno_t error = __wasi_fd_write(fd, vectors, count, &length);
    print_written(error, length);
}

static void fd_pwrite(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_ciovec_t vectors[16];
    size_t count = texts(word(), vectors);
    __wasi_size_t length = 0;
    __wasi_errno_t error = __wasi_fd_pwrite(fd, vectors, count, next_value(), &length);
    print_written(error, length);
}

static void fd_seek(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_filedelta_t offset = (__wasi_filedelta_t)next_value();
    const char *from = word();
    __wasi_filesize_t position = 0;
    __wasi_whence_t whence = is(from, "set") ? 0 : is(from, "cur") ? 1 : is(from, "end") ? 2 : 9;
    __wasi_errno_t error = __wasi_fd_seek(fd, offset, whence, &position);
    result(error);
    if (!error) field("at", position);
}

static void fd_tell(void) {
    __wasi_filesize_t position = 0;
    __wasi_errno_t error = __wasi_fd_tell(next_fd(), &position);
    result(error);
    if (!error) field("at", position);
}

static void fd_advise(void) {
    __wasi_fd_t fd = next_fd();
    uint64_t offset = next_value(), length = next_value();
    result(__wasi_fd_advise(fd, offset, length, (__wasi_advice_t)next_value()));
}

static void fd_allocate(void) {
    __wasi_fd_t fd = next_fd();
    uint64_t offset = next_value();
    result(__wasi_fd_allocate(fd, offset, next_value()));
}

static void fd_close(void) { result(__wasi_fd_close(next_fd())); }
static void fd_sync(void) { result(__wasi_fd_sync(next_fd())); }
static void fd_datasync(void) { result(__wasi_fd_datasync(next_fd())); }

static void fd_renumber(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_fd_renumber(fd, next_fd()));
}

static void fd_prestat_get(void) {
    __wasi_prestat_t stat;
    __wasi_errno_t error = __wasi_fd_prestat_get(next_fd(), &stat);
    result(error);
    if (!error) field("name", stat.u.dir.pr_name_len);
}

static void fd_prestat_dir_name(void) {
    __wasi_fd_t fd = next_fd();
    size_t length = next_value();
    __wasi_errno_t error = __wasi_fd_prestat_dir_name(fd, (uint8_t *)buffer, length);
    result(error);
    if (!error) print(" "), put(STDOUT_FILENO, buffer, length);
}

// ---- directories ----

typedef struct {
    __wasi_dirent_t entry;
    const char *name;
} Entry;

static Entry entries[MOST_ENTRIES];
static char names[LARGEST];

static int by_name(const void *left, const void *right) {
    return strcmp(((const Entry *)left)->name, ((const Entry *)right)->name);
}

// One buffer of entries; the number of whole ones. `cookie` moves behind the last of them.
static size_t read_entries(__wasi_fd_t fd, size_t size, __wasi_dircookie_t *cookie, size_t count, char **name,
                           __wasi_errno_t *error, size_t *used) {
    __wasi_size_t length = 0;
    *error = __wasi_fd_readdir(fd, (uint8_t *)buffer, size, *cookie, &length);
    *used = length;
    size_t found = 0, offset = 0;
    while (!*error && offset + sizeof(__wasi_dirent_t) <= length && count + found < MOST_ENTRIES) {
        Entry *next = &entries[count + found];
        memcpy(&next->entry, buffer + offset, sizeof next->entry);
        offset += sizeof next->entry;
        if (offset + next->entry.d_namlen > length) break;
        memcpy(*name, buffer + offset, next->entry.d_namlen);
        (*name)[next->entry.d_namlen] = 0;
        next->name = *name;
        *name += next->entry.d_namlen + 1;
        offset += next->entry.d_namlen;
        *cookie = next->entry.d_next;
        found++;
    }
    return found;
}

// All entries by buffers of that size.
static size_t read_all(__wasi_fd_t fd, size_t size, __wasi_errno_t *error) {
    size_t count = 0, found, used;
    char *name = names;
    __wasi_dircookie_t cookie = 0;
    do count += found = read_entries(fd, size, &cookie, count, &name, error, &used);
    while (!*error && found && used == size);
    return count;
}

// list FD SIZE: names with their types, sorted.
static void list(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_errno_t error;
    size_t count = read_all(fd, next_value(), &error);
    result(error);
    if (error) return;
    qsort(entries, count, sizeof *entries, by_name);
    for (size_t index = 0; index < count; index++) {
        print(" "), print(entries[index].name), print(":");
        print(type_name(entries[index].entry.d_type));
    }
}

static void count(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_errno_t error;
    size_t found = read_all(fd, next_value(), &error), twice = 0;
    result(error);
    if (error) return;
    qsort(entries, found, sizeof *entries, by_name);
    for (size_t index = 1; index < found; index++) twice += is(entries[index - 1].name, entries[index].name);
    field("entries", found), field("twice", twice);
}

// cookies FD: from the cookie of each entry on, a reading goes on with the next one.
static void cookies(void) {
    static char next[LARGEST];
    __wasi_fd_t fd = next_fd();
    __wasi_errno_t error;
    size_t found = read_all(fd, LARGEST, &error);
    for (size_t index = 0; !error && index + 1 < found; index++) {
        char *name = next;
        __wasi_dircookie_t cookie = entries[index].entry.d_next;
        size_t used;
        const char *expected = entries[index + 1].name;
        Entry kept = entries[0];
        size_t got = read_entries(fd, 512, &cookie, 0, &name, &error, &used);
        int right = got && is(next, expected);
        entries[0] = kept;
        if (!error && !right) { print("wrong after "), print(entries[index].name); return; }
        read_all(fd, LARGEST, &error);
    }
    result(error);
}

// inodes FD: an entry tells the inode that the file tells.
static void inodes(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_errno_t error;
    size_t found = read_all(fd, LARGEST, &error);
    for (size_t index = 0; !error && index < found; index++) {
        __wasi_filestat_t stat;
        if (is(entries[index].name, "..")) continue;
        error = __wasi_path_filestat_get(fd, 0, entries[index].name, &stat);
        if (!error && stat.ino != entries[index].entry.d_ino) { print("another: "), print(entries[index].name); return; }
    }
    result(error);
}

// fd_readdir FD SIZE COOKIE
static void fd_readdir(void) {
    __wasi_fd_t fd = next_fd();
    size_t size = next_value();
    __wasi_size_t used = 0;
    __wasi_errno_t error = __wasi_fd_readdir(fd, (uint8_t *)buffer, size, next_value(), &used);
    result(error);
    if (!error) field("used", used);
}

// PREFIXn, to be used before the next call.
static const char *numbered(const char *prefix, uint64_t number) {
    static char name[64];
    char digits[21], *digit = digits + 20;
    *digit = 0;
    do *--digit = (char)('0' + number % 10);
    while (number /= 10);
    strcpy(stpcpy(name, prefix), digit);
    return name;
}

// make_links FD PREFIX N TARGET: PREFIX0 leads to the target, each other one to the one before.
static void make_links(void) {
    __wasi_fd_t fd = next_fd();
    const char *prefix = word();
    uint64_t wanted = next_value();
    char target[64];
    strncpy(target, word(), sizeof target - 1);
    __wasi_errno_t error = 0;
    for (uint64_t index = 0; !error && index < wanted; index++) {
        const char *name = numbered(prefix, index);
        error = __wasi_path_symlink(target, fd, name);
        strcpy(target, name);
    }
    result(error);
}

// make_files FD PREFIX N: that many empty files.
static void make_files(void) {
    __wasi_fd_t fd = next_fd();
    const char *prefix = word();
    uint64_t wanted = next_value();
    __wasi_errno_t error = 0;
    for (uint64_t index = 0; !error && index < wanted; index++) {
        const char *name = numbered(prefix, index);
        __wasi_fd_t opened;
        error = __wasi_path_open(fd, 0, name, __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, __WASI_RIGHTS_FD_WRITE, 0, 0, &opened);
        if (!error) error = __wasi_fd_close(opened);
    }
    result(error);
}

// ---- time and the rest ----

static uint32_t clock_id(const char *text) {
    return is(text, "realtime") ? 0 : is(text, "monotonic") ? 1 : is(text, "process") ? 2 : is(text, "thread") ? 3 : value(text);
}

static void clock_res_get(void) {
    __wasi_timestamp_t time = 0;
    __wasi_errno_t error = __wasi_clock_res_get((__wasi_clockid_t){clock_id(word())}, &time);
    result(error);
    if (!error) print(time ? " some" : " 0");
}

static void clock_time_get(void) {
    __wasi_timestamp_t time = 0;
    __wasi_errno_t error = __wasi_clock_time_get((__wasi_clockid_t){clock_id(word())}, 1, &time);
    result(error);
}

static uint64_t now(uint32_t clock) {
    __wasi_timestamp_t time = 0;
    if (__wasi_clock_time_get((__wasi_clockid_t){clock}, 1, &time)) usage(USAGE);
    return time;
}

// clock:ID:N in N nanoseconds, clock:ID:+N at now and N, clock:ID:@N at N; read:FD; write:FD.
static int subscribe(char *text, __wasi_subscription_t *to) {
    char *kind = strtok(text, ":"), *first = strtok(NULL, ":"), *time = strtok(NULL, ":");
    memset(to, 0, sizeof *to);
    if (!kind || !first) usage(USAGE);
    if (!is(kind, "clock")) {
        to->u.tag = is(kind, "read") ? __WASI_EVENTTYPE_FD_READ : is(kind, "write") ? __WASI_EVENTTYPE_FD_WRITE : 9;
        to->u.u.fd_read.file_descriptor = fd_of(first);
        return 0;
    }
    if (!time) usage(USAGE);
    int absolute = *time == '+' || *time == '@';
    to->u.tag = __WASI_EVENTTYPE_CLOCK;
    to->u.u.clock.id = (__wasi_clockid_t){clock_id(first)};
    to->u.u.clock.flags = absolute ? __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME : 0;
    to->u.u.clock.timeout = value(time + absolute) + (*time == '+' ? now(clock_id(first)) : 0);
    return 1;
}

static void print_event(const __wasi_event_t *event) {
    static const char *const KINDS[] = {"clock", "read", "write"};
    print(" "), print_number(event->userdata - 1000), print(":"), print(event->type < 3 ? KINDS[event->type] : "no type");
    if (event->error) print(":"), print(errno_name(event->error));
}

// poll_oneoff [at_least NS] SUBSCRIPTION…: "too early" when it comes back before that time.
static void poll_oneoff(void) {
    __wasi_subscription_t wanted[16];
    __wasi_event_t events[16];
    size_t count = 0;
    uint64_t least = 0, began = now(1);
    while (*at && count < 16) {
        char *text = word();
        if (is(text, "at_least")) { least = next_value(); continue; }
        subscribe(text, &wanted[count]);
        wanted[count].userdata = 1000 + count;
        count++;
    }
    __wasi_size_t happened = 99;
    __wasi_errno_t error = __wasi_poll_oneoff(wanted, events, count, &happened);
    result(error);
    if (error) return;
    field("events", happened);
    for (uint64_t index = 0; index < count; index++)
        for (size_t event = 0; event < happened; event++)
            if (events[event].userdata == 1000 + index) print_event(&events[event]);
    if (now(1) - began < least) print(" too early");
}

static void random_get(void) {
    size_t length = next_value(), zeros = 0;
    memset(buffer, 0, length);
    __wasi_errno_t error = __wasi_random_get((uint8_t *)buffer, length);
    for (size_t index = 0; index < length; index++) zeros += !buffer[index];
    result(error);
    if (length && zeros > length / 16) print(" not random");
}

static void sched_yield_(void) { result(__wasi_sched_yield()); }

__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise"))) int raise_signal(int signal);
static void proc_raise(void) { result((__wasi_errno_t)raise_signal((int)next_value())); }

static void args_sizes_get(void) {
    __wasi_size_t count = 0, size = 0;
    result(__wasi_args_sizes_get(&count, &size));
    field("count", count), field("bytes", size);
}

static void environ_sizes_get(void) {
    __wasi_size_t count = 0, size = 0;
    result(__wasi_environ_sizes_get(&count, &size));
    field("count", count), field("bytes", size);
}

static void sock_accept(void) {
    __wasi_fd_t opened;
    result(__wasi_sock_accept(next_fd(), 0, &opened));
}

static void sock_recv(void) {
    __wasi_iovec_t vector = {(uint8_t *)buffer, 16};
    __wasi_size_t length;
    __wasi_roflags_t flags;
    result(__wasi_sock_recv(next_fd(), &vector, 1, 0, &length, &flags));
}

static void sock_send(void) {
    __wasi_ciovec_t vector = {(uint8_t *)buffer, 16};
    __wasi_size_t length;
    result(__wasi_sock_send(next_fd(), &vector, 1, 0, &length));
}

static void sock_shutdown(void) {
    __wasi_fd_t fd = next_fd();
    const char *how = word();
    result(__wasi_sock_shutdown(fd, (__wasi_sdflags_t)(is(how, "read") ? 1 : is(how, "write") ? 2 : 3)));
}

#define COMMAND(name) {#name, name}
static const struct { const char *name; void (*run)(void); } COMMANDS[] = {
    COMMAND(args_sizes_get), COMMAND(clock_res_get), COMMAND(clock_time_get), COMMAND(cookies), COMMAND(count),
    COMMAND(environ_sizes_get), COMMAND(fd_advise), COMMAND(fd_allocate), COMMAND(fd_close), COMMAND(fd_datasync),
    COMMAND(fd_fdstat_get), COMMAND(fd_fdstat_set_flags), COMMAND(fd_fdstat_set_rights), COMMAND(fd_filestat_get),
    COMMAND(fd_filestat_set_size), COMMAND(fd_filestat_set_times), COMMAND(fd_pread), COMMAND(fd_prestat_dir_name),
    COMMAND(fd_prestat_get), COMMAND(fd_pwrite), COMMAND(fd_read), COMMAND(fd_readdir), COMMAND(fd_renumber),
    COMMAND(fd_seek), COMMAND(fd_sync), COMMAND(fd_tell), COMMAND(fd_times), COMMAND(fd_write),
    COMMAND(inodes), COMMAND(list), COMMAND(make_files), COMMAND(make_links),
    COMMAND(newer), COMMAND(path_create_directory),
    COMMAND(path_filestat_get), COMMAND(path_filestat_set_times), COMMAND(path_link), COMMAND(path_open),
    COMMAND(path_readlink), COMMAND(path_remove_directory), COMMAND(path_rename), COMMAND(path_symlink),
    COMMAND(path_times), COMMAND(path_unlink_file), COMMAND(poll_oneoff), COMMAND(proc_raise), COMMAND(random_get),
    COMMAND(same), {"sched_yield", sched_yield_}, COMMAND(sock_accept), COMMAND(sock_recv), COMMAND(sock_send),
    COMMAND(sock_shutdown),
};

static void run(char *command) {
    print(command), print(" => ");
    at = command;
    const char *name = word();
    for (size_t index = 0; index < sizeof COMMANDS / sizeof *COMMANDS; index++) {
        if (!is(name, COMMANDS[index].name)) continue;
        COMMANDS[index].run();
        print("\n");
        return;
    }
    usage(USAGE);
}

int main(int argc, char **argv) {
    memset(named, 0xff, sizeof named);
    for (int index = 1; index < argc; index++) run(argv[index]);
    return 0;
}
