/* Readers and writers when any allocation fails, once or from then on: an error, nothing leaked (the sanitizers look),
 * no file left behind, and the next try succeeds. What libzip and jansson take themselves is not reached from here. */
#include "core/mem.h"
#include "io/idx.h"
#include "io/npy.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "tests/damage.h"

static int64_t calls_left, live;
static bool for_ever;

static bool fails(void)
{
    bool now = for_ever ? calls_left <= 0 : calls_left == 0;
    calls_left--;
    return now;
}
static void *failing_alloc(void *user, size_t bytes)
{
    (void)user;
    void *p = fails() ? NULL : malloc(bytes);
    live += p != NULL;
    if (p)
        memset(p, 0xa5, bytes);
    return p;
}
static void *failing_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    void *p = fails() ? NULL : realloc(old, bytes);
    live += p && !old;
    return p;
}
static void counting_free(void *user, void *old)
{
    (void)user;
    live--;
    free(old);
}

static const char *path_of(int kind)
{
    static const char *paths[4];
    static const char *const names[] = {"mem.idx.gz", "mem.npy", "mem.npz", "mem.safetensors"};
    if (!paths[kind])
        paths[kind] = gr_test_scratch(names[kind]);
    return paths[kind];
}

static gr_array *sample(void)
{
    gr_array *flat = gr_array_from(GR_F32, GR_SHAPE(2, 3), (float[]){1, 2, 3, 4, 5, 6});
    gr_array *view = flat ? gr_array_transpose(flat, GR_RANK0) : NULL; /* so that saving has to copy */
    gr_array_free(flat);
    return view;
}

static bool load_idx(void)
{
    gr_array *a = gr_idx_load(path_of(0));
    gr_array_free(a);
    return a != NULL;
}
static bool load_npy(void)
{
    gr_array *a = gr_npy_load(path_of(1));
    gr_array_free(a);
    return a != NULL;
}
static bool save_npy(void)
{
    gr_array *a = sample();
    bool ok = a && gr_npy_save(path_of(1), a) == GR_OK;
    gr_array_free(a);
    return ok;
}
static bool load_npz(void)
{
    gr_npz *z = gr_npz_load(path_of(2));
    gr_npz_free(z);
    return z != NULL;
}
static bool save_npz(void)
{
    gr_array *a = sample();
    bool ok = a && gr_npz_save(path_of(2), 2, (const char *const[]){"a", "b"}, (gr_array *const[]){a, a}) == GR_OK;
    gr_array_free(a);
    return ok;
}
static bool load_safetensors(void)
{
    gr_safetensors *t = gr_safetensors_load(path_of(3));
    gr_safetensors_free(t);
    return t != NULL;
}
static bool save_safetensors(void)
{
    gr_array *a = sample();
    bool ok = a && gr_safetensors_save(path_of(3), 2, (gr_named_array[]){{"a", a}, {"b", a}}, 1,
                       (gr_named_text[]){{"k", "v"}}) == GR_OK;
    gr_array_free(a);
    return ok;
}

static const struct {
    const char *name;
    bool (*run)(void);
    int least; /* allocations there are at the least: else the injector missed something */
    bool optional; /* not in a minimal build */
} work[] = {
    {"save npy", save_npy, 9, false}, {"load npy", load_npy, 4, false}, {"save npz", save_npz, 15, true},
    {"load npz", load_npz, 12, true}, {"save safetensors", save_safetensors, 8, true},
    {"load safetensors", load_safetensors, 10, true}, {"load idx.gz", load_idx, 5, true},
};

static bool skipped(size_t i)
{
#ifdef GRAPE_MINIMAL
    return work[i].optional;
#else
    (void)i;
    return false;
#endif
}

static int files_in_scratch(void)
{
    int n = 0;
    DIR *d = opendir(gr_test_scratch(""));
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void write_idx(void)
{
    /* [2, 3] of 1 .. 6, by gzip -9n */
    static const unsigned char packed[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x63, 0x60, 0xe0,
    0x60, 0x62, 0x60, 0x60, 0x00, 0x61, 0x66, 0x46, 0x26, 0x66, 0x16, 0x56, 0x36, 0x00, 0x48, 0x94, 0x3e, 0xe5, 0x12,
    0x00, 0x00, 0x00};
    gr_write_file(path_of(0), packed, sizeof packed);
}

static void every_allocation_may_fail(void)
{
    write_idx();
    for (size_t i = 0; i < sizeof work / sizeof *work; i++) {
        if (skipped(i))
            continue;
        calls_left = INT64_MAX; /* first without a failure: a saved file is there to be replaced */
        GR_EXPECT(work[i].run(), "%s: %s", work[i].name, gr_error_message());
        gr_error_clear();
        int files = files_in_scratch();
        gr_set_allocator(&(gr_allocator){failing_alloc, failing_resize, counting_free, NULL});
        for (int mode = 0; mode < 2; mode++) {
            int failures = 0;
            for (int k = 0;; k++) {
                for_ever = mode == 1;
                calls_left = k;
                live = 0;
                bool ok = work[i].run();
                GR_EXPECT(live == 0, "%s, allocation %d: %lld blocks left", work[i].name, k, (long long)live);
                if (ok)
                    break;
                failures++;
                GR_EXPECT(gr_error() == GR_EMEM, "%s, allocation %d: %s \"%s\"", work[i].name, k,
                    gr_status_name(gr_error()), gr_error_message());
                gr_error_clear();
            }
            GR_EXPECT(failures >= work[i].least && gr_error() == GR_OK, "%s: %d failures", work[i].name, failures);
        }
        gr_set_allocator(NULL);
        GR_EXPECT(files_in_scratch() == files, "%s: a file was left behind", work[i].name);
    }
}

GR_SUITE("io, out of memory", GR_TEST(every_allocation_may_fail))
