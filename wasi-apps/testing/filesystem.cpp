// filesystem: what <filesystem> of C++ does to its "/", one line for each step. zig ships libc++'s file system as
// sources only, which are part of this file; they want copy_file_range and sendfile, which WASI has not.

#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <sys/sendfile.h>
#include <unistd.h>

template class std::basic_filebuf<char>;
template class std::basic_ifstream<char>;
template class std::basic_ofstream<char>;

extern "C" ssize_t sendfile(int, int, off_t *, size_t) {
    errno = ENOSYS;
    return -1;
}

static ssize_t copy_file_range(int from, off_t *, int to, off_t *, size_t length, unsigned) {
    char buffer[4096];
    ssize_t got = read(from, buffer, length < sizeof buffer ? length : sizeof buffer);
    return got > 0 ? write(to, buffer, (size_t)got) : got;
}

#include "src/filesystem/directory_entry.cpp"
#include "src/filesystem/directory_iterator.cpp"
#include "src/filesystem/filesystem_error.cpp"
#include "src/filesystem/operations.cpp"
#include "src/filesystem/path.cpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "errnos.h"

namespace fs = std::filesystem;

static std::error_code error;

// The error of the last call in words, which is cleared.
static const char *outcome() {
    int number = error.value();
    error.clear();
    return errno_name((unsigned)number);
}

static void write(const fs::path &path, const char *text) {
    FILE *file = fopen(path.c_str(), "w");
    if (!file) { printf("cannot write %s\n", path.c_str()); return; }
    fputs(text, file);
    fclose(file);
}

static void made(const char *what, bool yes) { printf("%s: %s, %s\n", what, yes ? "done" : "not done", outcome()); }

static void directories() {
    made("create_directory", fs::create_directory("/a", error));
    made("create_directory again", fs::create_directory("/a", error));
    made("create_directories", fs::create_directories("/a/b/c/d", error));
    made("create_directory in nothing", fs::create_directory("/none/x", error));
    write("/a/one", "1");
    write("/a/b/two", "22");
    write("/a/b/c/three", "333");
    std::vector<std::string> found;
    for (fs::recursive_directory_iterator at("/a", error), end; at != end; at.increment(error)) {
        std::string line(at->path().string());
        if (at->is_directory(error)) line += "/";
        else line += " " + std::to_string(at->file_size(error));
        found.push_back(line);
    }
    printf("recursive_directory_iterator: %s\n", outcome());
    std::sort(found.begin(), found.end());
    for (auto &line : found) printf("  %s\n", line.c_str());
    fs::directory_iterator missing("/none", error);
    printf("directory_iterator of nothing: %s\n", outcome());
}

static void links() {
    fs::create_symlink("one", "/a/link", error);
    printf("create_symlink: %s\n", outcome());
    printf("read_symlink: %s", fs::read_symlink("/a/link", error).c_str());
    printf(", %s\n", outcome());
    made("is_symlink", fs::is_symlink("/a/link", error));
    made("is_regular_file through it", fs::is_regular_file("/a/link", error));
    fs::create_hard_link("/a/one", "/a/twin", error);
    printf("create_hard_link: %s\n", outcome());
    printf("hard_link_count: %d", (int)fs::hard_link_count("/a/one", error));
    printf(", %s\n", outcome());
    made("equivalent", fs::equivalent("/a/one", "/a/twin", error));
    made("equivalent through the link", fs::equivalent("/a/link", "/a/twin", error));
    fs::create_directory_symlink("b", "/a/folder", error);
    printf("file_size through a folder's link: %d", (int)fs::file_size("/a/folder/two", error));
    printf(", %s\n", outcome());
}

static void changes() {
    made("copy_file", fs::copy_file("/a/one", "/a/copy", error));
    made("copy_file over it", fs::copy_file("/a/b/two", "/a/copy", error));
    made("overwrite_existing", fs::copy_file("/a/b/two", "/a/copy", fs::copy_options::overwrite_existing, error));
    printf("its size: %d", (int)fs::file_size("/a/copy", error));
    printf(", %s\n", outcome());
    fs::resize_file("/a/copy", 1000, error);
    printf("resize_file: %s, size %d", outcome(), (int)fs::file_size("/a/copy", error));
    printf(", %s\n", outcome());
    fs::rename("/a/copy", "/a/b/moved", error);
    printf("rename: %s\n", outcome());
    made("exists", fs::exists("/a/copy", error));
    fs::rename("/a", "/a/b/x", error);
    printf("rename into itself: %s\n", outcome());
    fs::file_time_type then(std::chrono::duration_cast<fs::file_time_type::duration>(std::chrono::seconds(1000000000)));
    fs::last_write_time("/a/one", then, error);
    printf("last_write_time: %s", outcome());
    printf(", %s\n", fs::last_write_time("/a/one", error) == then ? "as it was set" : "another");
    made("remove a full directory", fs::remove("/a", error));
    made("remove", fs::remove("/a/one", error));
    made("remove again", fs::remove("/a/one", error));
    made("exists through a dangling link", fs::exists("/a/link", error));
    printf("remove_all: %d", (int)fs::remove_all("/a", error));
    printf(", %s\n", outcome());
    made("is_empty", fs::is_empty("/", error));
    made("remove_all of nothing", fs::remove_all("/a", error));
}

int main() {
    directories();
    links();
    changes();
}
