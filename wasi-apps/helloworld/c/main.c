// The hello world of wasi-apps in C: shows arguments and environment, then does what the arguments say.
// The commands are described in ../README.md; the Rust and Go versions behave the same. wasi-libc only.

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

extern char **environ;

static _Noreturn void fail(int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs("helloworld: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(code);
}

// The same words in every language, by the numbers of WASI preview 1's errno.
static const char *reason(int number) {
    static char other[32];
    switch (number) {
    case ENOENT: return "no such file or directory";
    case EISDIR: return "is a directory";
    case ENOTDIR: return "not a directory";
    case EBADF: return "not a file"; // a directory opens, but does not read
    case EACCES:
    case EPERM:
    case ENOTCAPABLE: return "not permitted";
    }
    snprintf(other, sizeof other, "errno %d", number);
    return other;
}

static _Noreturn void cannot(const char *verb, const char *path) {
    fail(1, "cannot %s %s: %s", verb, path, reason(errno));
}

static void introduce(int argc, char **argv) {
    puts("Hello from C!");
    for (int index = 0; index < argc; index++) printf("arg %d: %s\n", index, argv[index]);
    for (char **variable = environ; variable && *variable; variable++) printf("env %s\n", *variable);
}

static void copy(FILE *from, const char *verb, const char *path) {
    char buffer[16384];
    size_t length;
    while ((length = fread(buffer, 1, sizeof buffer, from)) > 0) fwrite(buffer, 1, length, stdout);
    if (ferror(from)) cannot(verb, path);
}

static void print_file(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) cannot("read", path);
    copy(file, "read", path);
    fclose(file);
}

static int by_bytes(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

// "name" or, for a directory, "name/"; the caller owns the text. stat is asked where the host gives no type.
static char *shown(const char *folder, const struct dirent *entry) {
    char *path = NULL;
    struct stat status;
    int is_directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN && asprintf(&path, "%s/%s", folder, entry->d_name) > 0) {
        is_directory = lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
        free(path);
    }
    char *name = NULL;
    if (asprintf(&name, "%s%s", entry->d_name, is_directory ? "/" : "") < 0) fail(1, "out of memory");
    return name;
}

// Prints one name a line, sorted by bytes because hosts differ in their order; directories end in a slash.
static void list(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) cannot("list", path);
    char **names = NULL;
    size_t count = 0;
    struct dirent *entry;
    while (errno = 0, entry = readdir(directory)) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        names = realloc(names, (count + 1) * sizeof *names);
        if (!names) fail(1, "out of memory");
        names[count++] = shown(path, entry);
    }
    if (errno) cannot("list", path);
    closedir(directory);
    if (count) qsort(names, count, sizeof *names, by_bytes);
    for (size_t index = 0; index < count; index++) {
        puts(names[index]);
        free(names[index]);
    }
    free(names);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    if (!file) cannot("write", path);
    if (fprintf(file, "%s\n", text) < 0) cannot("write", path);
    if (fclose(file)) cannot("write", path);
    printf("wrote %zu bytes to %s\n", strlen(text) + 1, path);
}

static int exit_code(const char *number) {
    size_t digits = strspn(number, "0123456789");
    errno = 0;
    unsigned long code = strtoul(number, NULL, 10);
    if (!digits || number[digits] || errno || code > 255) fail(2, "exit:%s needs a number from 0 to 255", number);
    return (int)code;
}

// The text after the prefix, or NULL when arg does not start with it.
static const char *after(const char *arg, const char *prefix) {
    size_t length = strlen(prefix);
    return strncmp(arg, prefix, length) ? NULL : arg + length;
}

static int run(int argc, char **argv) {
    const char *value;
    for (int index = 1; index < argc; index++) {
        if ((value = after(argv[index], "ls:"))) list(value);
        else if ((value = after(argv[index], "cat:"))) print_file(value);
        else if ((value = after(argv[index], "write:"))) {
            if (++index == argc) fail(2, "write:%s needs a TEXT after it", value);
            write_file(value, argv[index]);
        } else if (!strcmp(argv[index], "stdin")) copy(stdin, "copy", "stdin");
        else if ((value = after(argv[index], "exit:"))) return exit_code(value);
    }
    return 0;
}

int main(int argc, char **argv) {
    introduce(argc, argv);
    int code = run(argc, argv);
    if (fflush(stdout) || ferror(stdout)) cannot("write", "stdout");
    return code;
}
