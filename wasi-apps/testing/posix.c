// posix PART: what C's library makes of WASI, one line for each step. The parts are those of `main`.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "errnos.h"

static void told(const char *what, long result) {
    printf("%s: %s\n", what, result < 0 ? errno_name((unsigned)errno) : "fine");
}

static void content(const char *path) {
    char text[256];
    FILE *file = fopen(path, "r");
    if (!file) { told(path, -1); return; }
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = 0;
    fclose(file);
    printf("%s: %s\n", path, text);
}

static void make(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file)) told(path, -1);
}

static int by_name(const struct dirent **left, const struct dirent **right) {
    return strcmp((*left)->d_name, (*right)->d_name);
}

static void directories(void) {
    struct stat stat_a;
    struct dirent **entries;
    told("mkdir", mkdir("/d", 0777));
    told("mkdir again", mkdir("/d", 0777));
    make("/d/b", "b"), make("/d/a", "a"), make("/d/ü", "u");
    told("mkdir inside", mkdir("/d/c", 0700));
    int count = scandir("/d", &entries, NULL, by_name);
    for (int index = 0; index < count; index++) printf("  %s %d\n", entries[index]->d_name, entries[index]->d_type);
    DIR *directory = opendir("/d");
    told("opendir", directory ? 0 : -1);
    struct dirent *first = readdir(directory);
    long place = telldir(directory);
    struct dirent *second = readdir(directory);
    char name[256];
    strcpy(name, second->d_name);
    printf("readdir: %d\n", first && second);
    seekdir(directory, place);
    printf("seekdir: %d\n", !strcmp(readdir(directory)->d_name, name));
    rewinddir(directory);
    int again = 0;
    while (readdir(directory)) again++;
    printf("rewinddir: %d\n", again);
    told("fstatat", fstatat(dirfd(directory), "a", &stat_a, 0));
    printf("size: %d\n", (int)stat_a.st_size);
    told("closedir", closedir(directory));
    told("opendir of nothing", opendir("/none") ? 0 : -1);
    told("opendir of a file", opendir("/d/a") ? 0 : -1);
    told("rmdir", rmdir("/d"));
    told("rmdir of a file", rmdir("/d/a"));
    told("unlink of a directory", unlink("/d/c"));
    told("remove", remove("/d/c"));
    told("chdir", chdir("/d"));
    content("a");
    printf("getcwd: %s\n", getcwd(name, sizeof name));
    told("chdir to nothing", chdir("/none"));
}

static void links(void) {
    char text[256];
    struct stat known;
    make("/f", "text");
    told("symlink", symlink("f", "/l"));
    told("symlink again", symlink("f", "/l"));
    ssize_t length = readlink("/l", text, sizeof text - 1);
    text[length < 0 ? 0 : length] = 0;
    printf("readlink: %s\n", text);
    told("readlink of a file", readlink("/f", text, sizeof text));
    told("lstat", lstat("/l", &known));
    printf("link: %d\n", S_ISLNK(known.st_mode));
    told("stat", stat("/l", &known));
    printf("file: %d %d %d\n", S_ISREG(known.st_mode), (int)known.st_size, (int)known.st_nlink);
    told("link", link("/f", "/g"));
    told("stat", stat("/g", &known));
    printf("links: %d\n", (int)known.st_nlink);
    told("rename", rename("/f", "/moved"));
    told("open of what dangles", open("/l", O_RDONLY));
    told("O_NOFOLLOW", open("/l", O_RDONLY | O_NOFOLLOW));
    told("rename over", rename("/moved", "/g"));
    told("rename of nothing", rename("/none", "/x"));
    told("symlink to outside", symlink("../../etc", "/out"));
    told("open outside", open("/out/passwd", O_RDONLY));
    content("/g");
    told("access", access("/g", R_OK | W_OK));
    told("access of nothing", access("/none", F_OK));
}

static void bytes(void) {
    char buffer[64] = {0};
    int fd = open("/f", O_RDWR | O_CREAT | O_EXCL, 0644);
    told("open", fd);
    told("O_EXCL", open("/f", O_RDWR | O_CREAT | O_EXCL, 0644));
    printf("write: %d\n", (int)write(fd, "0123456789", 10));
    printf("lseek: %d\n", (int)lseek(fd, -3, SEEK_END));
    printf("read: %d\n", (int)read(fd, buffer, sizeof buffer));
    printf("pread: %d %.3s\n", (int)pread(fd, buffer, 3, 4), buffer);
    printf("pwrite: %d\n", (int)pwrite(fd, "abc", 3, 12));
    told("lseek before", lseek(fd, -1, SEEK_SET));
    told("ftruncate", ftruncate(fd, 14));
    told("fsync", fsync(fd));
    told("close", close(fd));
    told("close again", close(fd));
    fd = open("/f", O_WRONLY | O_APPEND);
    printf("append: %d\n", (int)write(fd, "end", 3));
    told("read of it", read(fd, buffer, 1));
    printf("flags: %d\n", (fcntl(fd, F_GETFL) & O_APPEND) != 0);
    told("F_SETFL", fcntl(fd, F_SETFL, 0));
    printf("flags: %d\n", (fcntl(fd, F_GETFL) & O_APPEND) != 0);
    fd = open("/f", O_RDONLY);
    printf("size: %d %.2s", (int)pread(fd, buffer, sizeof buffer, 0), buffer);
    printf("%.3s\n", buffer + 14);
    told("write of a read", write(fd, "x", 1));
    told("O_DIRECTORY", open("/f", O_RDONLY | O_DIRECTORY));
    told("a directory for writing", open("/", O_WRONLY));
    told("truncate", truncate("/f", 2));
    content("/f");
    FILE *file = fopen("/f", "a+");
    fputs("more", file), fflush(file), rewind(file);
    printf("a+: %s\n", fgets(buffer, sizeof buffer, file));
    fclose(file);
    printf("tty: %d %d\n", isatty(0), isatty(1));
}

static void times(void) {
    struct stat known;
    struct timespec set[2] = {{1000000000, 1}, {1234567890, 123456789}}, now, after, pause = {0, 20000000};
    make("/f", "");
    told("utimensat", utimensat(AT_FDCWD, "/f", set, 0));
    stat("/f", &known);
    printf("%lld.%09ld %lld.%09ld\n", known.st_atim.tv_sec, known.st_atim.tv_nsec, known.st_mtim.tv_sec,
           known.st_mtim.tv_nsec);
    set[0].tv_nsec = UTIME_OMIT, set[1].tv_nsec = UTIME_NOW;
    told("UTIME_NOW", utimensat(AT_FDCWD, "/f", set, 0));
    stat("/f", &known);
    printf("%lld %d\n", known.st_atim.tv_sec, known.st_mtim.tv_sec > 1577836800);
    clock_gettime(CLOCK_MONOTONIC, &now);
    told("nanosleep", nanosleep(&pause, NULL));
    clock_gettime(CLOCK_MONOTONIC, &after);
    printf("slept: %d\n", (after.tv_sec - now.tv_sec) * 1000000000ll + after.tv_nsec - now.tv_nsec >= 20000000);
    told("usleep", usleep(1000));
    after.tv_nsec += 5000000;
    if (after.tv_nsec >= 1000000000) after.tv_nsec -= 1000000000, after.tv_sec++;
    told("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &after, NULL) ? -1 : 0);
    told("clock_getres", clock_getres(CLOCK_REALTIME, &now));
}

static void waiting(void) {
    char buffer[16];
    struct pollfd input = {0, POLLIN, 0}, output = {1, POLLOUT, 0};
    printf("poll of stdin: %d", poll(&input, 1, 60000));
    printf(" %d\n", (input.revents & POLLIN) != 0);
    printf("poll of stdout: %d", poll(&output, 1, 60000));
    printf(" %d\n", (output.revents & POLLOUT) != 0);
    printf("poll for nothing: %d\n", poll(NULL, 0, 5));
    fd_set ready;
    FD_ZERO(&ready), FD_SET(0, &ready);
    struct timeval most = {60, 0};
    printf("select: %d\n", select(1, &ready, NULL, NULL, &most));
    printf("read: %d\n", (int)read(0, buffer, sizeof buffer));
    printf("end: %d\n", (int)read(0, buffer, sizeof buffer));
}

int main(int argc, char **argv) {
    const char *part = argc > 1 ? argv[1] : "";
    if (!strcmp(part, "directories")) directories();
    else if (!strcmp(part, "links")) links();
    else if (!strcmp(part, "bytes")) bytes();
    else if (!strcmp(part, "times")) times();
    else if (!strcmp(part, "waiting")) waiting();
    else if (!strcmp(part, "abort")) abort();
    else return fputs("usage: posix PART\n", stderr), 2;
    return 0;
}
