/* Memory between two pages that fault when touched: for kernels that must not read or write a byte too much. */
#ifndef GR_TESTS_FENCE_H
#define GR_TESTS_FENCE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    char *map;
    size_t room; /* between the guards */
    size_t page;
} fence;

static inline fence fence_new(size_t bytes)
{
    fence f = {.page = (size_t)sysconf(_SC_PAGESIZE)};
    f.room = (bytes + f.page - 1) / f.page * f.page;
    f.map = mmap(NULL, f.room + 2 * f.page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f.map == MAP_FAILED || mprotect(f.map + f.page, f.room, PROT_READ | PROT_WRITE)) {
        perror("mmap");
        exit(2);
    }
    return f;
}

/* `bytes` that end at the far guard or begin at the near one */
static inline void *fence_take(const fence *f, size_t bytes, bool at_end)
{
    return f->map + f->page + (at_end ? f->room - bytes : 0);
}

static inline void fence_free(fence *f)
{
    munmap(f->map, f->room + 2 * f->page);
}

#endif
