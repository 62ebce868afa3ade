/* models/dataset.c: where data sets are looked for. See dataset.h; digits.c draws the one that needs no file. */
#include "models/dataset.h"
#include "io/idx.h"
#include "models/model_impl.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, DRAWN_TRAIN = 60000, DRAWN_TEST = 10000, DRAWN_SEED = 1234 };

void gr_dataset_free(gr_dataset *d)
{
    gr_array_free(d->x_train);
    gr_array_free(d->y_train);
    gr_array_free(d->x_test);
    gr_array_free(d->y_test);
    *d = (gr_dataset){.x_train = NULL};
}

const char *gr_data_dir(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--data") == 0 && i + 1 < argc)
            return argv[i + 1];
        if (strncmp(argv[i], "--data=", 7) == 0)
            return argv[i] + 7;
    }
    const char *env = getenv("GRAPE_DATA");
    return env && env[0] ? env : NULL;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static const char *const files[] = {
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

/* The file in dir, gzipped or not; false if neither is there. */
static bool locate(const char *dir, const char *file, char *path)
{
    static const char *const endings[] = {"", ".gz"};
    for (int i = 0; i < 2; i++)
        if (snprintf(path, PATH_BYTES, "%s/%s%s", dir, file, endings[i]) < PATH_BYTES && access(path, R_OK) == 0)
            return true;
    return false;
}

/* The folder that holds the four files: dir itself, or dir/name. */
static bool holds(const char *dir, const char *name, char *out)
{
    char path[PATH_BYTES];
    if (locate(dir, files[0], path)) {
        snprintf(out, PATH_BYTES, "%s", dir);
        return true;
    }
    return snprintf(out, PATH_BYTES, "%s/%s", dir, name) < PATH_BYTES && locate(out, files[0], path);
}

static bool check(const gr_dataset *d, const char *dir)
{
    gr_shape x = gr_array_shape(d->x_train), y = gr_array_shape(d->y_train), tx = gr_array_shape(d->x_test),
             ty = gr_array_shape(d->y_test);
    bool fits = gr_array_dtype(d->x_train) == GR_U8 && gr_array_dtype(d->y_train) == GR_U8 &&
                gr_array_dtype(d->x_test) == GR_U8 && gr_array_dtype(d->y_test) == GR_U8 && x.rank == 3 &&
                tx.rank == 3 && y.rank == 1 && ty.rank == 1 && x.dim[0] == y.dim[0] && tx.dim[0] == ty.dim[0] &&
                x.dim[1] == tx.dim[1] && x.dim[2] == tx.dim[2];
    char a[160], b[160];
    if (!fits)
        gr_fail(GR_EFORMAT, (gr_at){0}, "mnist: %s: expected uint8 images [n, h, w] and labels [n], found %s and %s",
            dir, gr_shape_text(x, a, sizeof a), gr_shape_text(y, b, sizeof b));
    return fits;
}

static bool read_files(gr_dataset *d, const char *dir)
{
    gr_array **const slots[] = {&d->x_train, &d->y_train, &d->x_test, &d->y_test};
    char path[PATH_BYTES];
    for (int i = 0; i < 4; i++) {
        if (!locate(dir, files[i], path)) {
            gr_fail(
                GR_EIO, (gr_at){0}, "mnist: %s: expected the file %s or %s.gz, found neither", dir, files[i], files[i]);
            return false;
        }
        if (!(*slots[i] = gr_idx_load(path)))
            return false;
    }
    return check(d, dir);
}

/* ---- where to look ----------------------------------------------------------------------------------------------- */

/* shared/data beside a checkout: the working directory's or the program's ancestors' neighbour. */
static bool beside_checkout(char *dir)
{
    char start[2][PATH_BYTES / 2] = {"", ""};
    ssize_t n = readlink("/proc/self/exe", start[1], sizeof start[1] - 1);
    start[1][n > 0 ? n : 0] = '\0';
    if (!getcwd(start[0], sizeof start[0]))
        start[0][0] = '\0';
    for (int i = 0; i < 2; i++)
        for (int up = 0; up < 5 && start[i][0]; up++) {
            char path[PATH_BYTES];
            if (snprintf(path, sizeof path, "%s/../shared/data", start[i]) < PATH_BYTES && holds(path, "mnist", dir))
                return true;
            char *slash = strrchr(start[i], '/');
            if (!slash)
                break;
            *slash = '\0';
        }
    return false;
}

static bool in_cache(char *dir)
{
    char path[PATH_BYTES];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = cache && cache[0] ? snprintf(path, sizeof path, "%s/grape", cache)
            : home && home[0] ? snprintf(path, sizeof path, "%s/.cache/grape", home)
                              : PATH_BYTES;
    return n < PATH_BYTES && holds(path, "mnist", dir);
}

static gr_dataset load(const char *dir, const char *name, const char *title)
{
    gr_dataset d = {.x_train = NULL};
    char folder[PATH_BYTES];
    double begin = gr__now();
    if (!holds(dir, name, folder)) {
        gr_fail(GR_EIO, (gr_at){0}, "%s: argument dir: expected %s (or .gz) in %s or %s/%s, found none", name, files[0],
            dir, dir, name);
        return d;
    }
    if (!read_files(&d, folder)) {
        gr_dataset_free(&d);
        return d;
    }
    d.seconds = gr__now() - begin;
    snprintf(d.source, sizeof d.source, "%s, %.200s", title, folder);
    return d;
}

static gr_dataset drawn(void)
{
    double begin = gr__now();
    gr_dataset d = gr_drawn_digits(DRAWN_SEED, DRAWN_TRAIN, DRAWN_TEST);
    d.seconds = gr__now() - begin;
    return d;
}

gr_dataset gr_mnist(const char *dir)
{
    char found[PATH_BYTES];
    const char *env = getenv("GRAPE_DATA");
    if (!dir && env && env[0])
        dir = env;
    if (dir && strcmp(dir, "fashion") == 0)
        return gr_fashion_mnist(NULL);
    if (dir && strcmp(dir, "drawn") == 0)
        return drawn();
    if (dir)
        return load(dir, "mnist", "MNIST");
    if (beside_checkout(found) || in_cache(found))
        return load(found, "mnist", "MNIST");
    return drawn();
}

gr_dataset gr_fashion_mnist(const char *dir)
{
    return load(dir ? dir : "/usr/share/datasets/fashion-mnist", "fashion", "Fashion-MNIST");
}
