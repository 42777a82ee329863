// calls COMMAND…: makes WASI calls one after the other and prints each as `COMMAND => ERRNO result`, so that what it
// prints is a transcript that can be given to it again. The commands are those of the table at the end.

#include "calls/words.h"
#include "calls/paths.h"
#include "calls/known.h"
#include "calls/bytes.h"
#include "calls/directories.h"
#include "calls/others.h"

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
