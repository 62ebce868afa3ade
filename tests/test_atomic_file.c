/* io/atomic_file.c: old or new, never a part; what a dead writer left is used again, what a living one has is not. */
#include "io/atomic_file.h"
#include "tests/damage.h"
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static bool holds(const char *path, const char *want)
{
    size_t n;
    unsigned char *bytes = gr_read_file(path, &n);
    bool same = n == strlen(want) && memcmp(bytes, want, n) == 0;
    free(bytes);
    return same;
}

static bool exists(const char *path, const char *suffix)
{
    char name[300];
    struct stat s;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return lstat(name, &s) == 0;
}

static void the_old_file_stands_until_the_new_one_is_whole(void)
{
    const char *path = gr_test_scratch("a");
    gr_write_file(path, "old", 3);
    gr__atomic_file *f = gr__atomic_open("save", path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(gr__atomic_write(f, "new", 3), GR_OK);
    CU_ASSERT(holds(path, "old"));
    CU_ASSERT_EQUAL(gr__atomic_commit(f), GR_OK);
    CU_ASSERT(holds(path, "new") && !exists(path, ".tmp0"));
    f = gr__atomic_open("save", path);
    gr__atomic_write(f, "half", 4);
    gr__atomic_abandon(f);
    gr__atomic_abandon(NULL);
    CU_ASSERT(holds(path, "new") && !exists(path, ".tmp0"));
}

static void large_and_small_writes_join(void)
{
    enum { MANY = 300000 };
    const char *path = gr_test_scratch("big");
    char *big = malloc(MANY + 2), *back = malloc(MANY + 100);
    for (int i = 0; i < MANY; i++)
        big[i] = (char)(i * 7);
    gr__atomic_file *f = gr__atomic_open("save", path);
    for (int at = 0, step = 1; at < MANY; at += step, step = step * 3 % 70001) {
        step = step < MANY - at ? step : MANY - at;
        gr__atomic_write(f, big + at, step);
    }
    CU_ASSERT_EQUAL(gr__atomic_commit(f), GR_OK);
    int fd = open(path, O_RDONLY);
    CU_ASSERT(read(fd, back, MANY + 100) == MANY && memcmp(big, back, MANY) == 0);
    close(fd);
    free(big), free(back);
}

static void the_mode_of_the_replaced_file_is_kept(void)
{
    const char *path = gr_test_scratch("mode"), *fresh = gr_test_scratch("fresh");
    gr_write_file(path, "x", 1);
    chmod(path, 0640);
    mode_t mask = umask(027);
    gr__atomic_commit(gr__atomic_open("save", path));
    gr__atomic_commit(gr__atomic_open("save", fresh));
    umask(mask);
    struct stat s;
    CU_ASSERT(stat(path, &s) == 0 && (s.st_mode & 07777) == 0640);
    CU_ASSERT(stat(fresh, &s) == 0 && (s.st_mode & 07777) == 0640); /* 0666 less the umask */
}

static void what_a_dead_writer_left_is_used_again(void)
{
    const char *path = gr_test_scratch("dead");
    pid_t child = fork();
    if (child == 0) {
        gr__atomic_file *f = gr__atomic_open("save", path);
        gr__atomic_write(f, "half of it", 10);
        raise(SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    CU_ASSERT(WIFSIGNALED(status) && exists(path, ".tmp0") && !exists(path, ""));
    gr__atomic_file *f = gr__atomic_open("save", path);
    gr__atomic_write(f, "all", 3);
    CU_ASSERT_EQUAL(gr__atomic_commit(f), GR_OK);
    CU_ASSERT(holds(path, "all") && !exists(path, ".tmp0") && !exists(path, ".tmp1"));
}

static void two_writers_of_one_name_do_not_mix(void)
{
    const char *path = gr_test_scratch("two");
    gr__atomic_file *f = gr__atomic_open("save", path), *g = gr__atomic_open("save", path);
    CU_ASSERT_FATAL(f && g);
    gr__atomic_write(f, "first", 5);
    gr__atomic_write(g, "2nd", 3);
    CU_ASSERT_EQUAL(gr__atomic_commit(f), GR_OK);
    CU_ASSERT(holds(path, "first"));
    CU_ASSERT_EQUAL(gr__atomic_commit(g), GR_OK);
    CU_ASSERT(holds(path, "2nd") && !exists(path, ".tmp0") && !exists(path, ".tmp1"));
}

static void a_planted_link_is_not_followed(void)
{
    const char *path = gr_test_scratch("link"), *victim = gr_test_scratch("victim");
    char name[300];
    gr_write_file(victim, "dear", 4);
    snprintf(name, sizeof name, "%s.tmp0", path);
    CU_ASSERT_EQUAL(symlink(victim, name), 0);
    gr__atomic_file *f = gr__atomic_open("save", path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    gr__atomic_write(f, "mine", 4);
    CU_ASSERT_EQUAL(gr__atomic_commit(f), GR_OK);
    CU_ASSERT(holds(path, "mine") && holds(victim, "dear"));
}

static void what_cannot_be_replaced_is_refused(void)
{
    static const struct {
        const char *why, *path, *part;
    } rows[] = {
        {"a device", "/dev/null",
            "save: file /dev/null: expected a plain file to replace, found a pipe, device or socket"},
        {"a folder", "/tmp", "found a folder"},
        {"no folder", "/no/such/file", "save: file /no/such/file: cannot be written: No such file or directory"},
        {"no name", "", "save: argument path: expected a file's name, found an empty one"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        GR_EXPECT(!gr__atomic_open("save", rows[i].path), "%s", rows[i].why);
        GR_EXPECT(strstr(gr_error_message(), rows[i].part) != NULL, "%s: %s", rows[i].why, gr_error_message());
        gr_error_clear();
    }
}

/* A limit on the size of files stands for a full disk. */
static void a_full_disk_leaves_the_old_file_and_no_other(void)
{
    const char *path = gr_test_scratch("full");
    gr_write_file(path, "old", 3);
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 100000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    static char block[70000];
    gr__atomic_file *f = gr__atomic_open("save", path);
    gr__atomic_write(f, block, sizeof block);
    gr_status s = gr__atomic_write(f, block, sizeof block);
    CU_ASSERT_EQUAL(s, GR_EIO);
    CU_ASSERT_EQUAL(gr__atomic_write(f, "more", 4), GR_EIO);
    CU_ASSERT_EQUAL(gr__atomic_commit(f), GR_EIO);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    GR_EXPECT(strstr(gr_error_message(), "full: cannot be written: ") != NULL, "%s", gr_error_message());
    gr_error_clear();
    CU_ASSERT(holds(path, "old") && !exists(path, ".tmp0"));
}

GR_SUITE("io/atomic_file.c", GR_TEST(the_old_file_stands_until_the_new_one_is_whole),
    GR_TEST(large_and_small_writes_join), GR_TEST(the_mode_of_the_replaced_file_is_kept),
    GR_TEST(what_a_dead_writer_left_is_used_again), GR_TEST(two_writers_of_one_name_do_not_mix),
    GR_TEST(a_planted_link_is_not_followed), GR_TEST(what_cannot_be_replaced_is_refused),
    GR_TEST(a_full_disk_leaves_the_old_file_and_no_other))
