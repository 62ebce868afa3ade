/* core/team.c: see team.h. The threads are OpenMP's; how they meet is our own: a thread without work spins for about 20
 * us, then sleeps (Linux: futex) until the phase changes.
 *
 * Why nothing is read too late: a part is claimed by adding one to a counter that holds the next part and the end of a
 * share; the counters of a phase are set before anyone can claim from them, and a phase cannot end while a claimed part
 * is not done. So whoever holds a claim sees the job and the phase that the claim is of. */
#include "core/team.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

enum { SPIN_NS = 20000, PAUSES_PER_LOOK = 64, END_SHIFT = 32 };

typedef struct {
    _Alignas(64) _Atomic uint64_t next; /* low half: the next part; high half: the end */
} share;

typedef struct {
    int threads;
    bool crowded;                       /* more threads than CPUs: spinning would take time from those waited for */
    const gr__job *job;                 /* set while nobody can claim */
    _Alignas(64) _Atomic uint32_t turn; /* changes with every phase; what sleepers sleep on */
    _Atomic uint32_t sleepers;
    _Atomic int phase;             /* -1 between jobs */
    _Atomic bool over;             /* the others may go home */
    _Alignas(64) _Atomic int left; /* parts of the phase that are not done */
    share share[GR_MAX_THREADS];
} team;

static _Thread_local team *held; /* the team this thread leads */

/* A child of a process that has had a team: it is alone. */
static _Atomic bool orphan;
#ifdef _OPENMP
static void note_fork(void)
{
    atomic_store(&orphan, true);
    held = NULL;
}
static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, note_fork);
}
#endif

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool turns_soon(team *m, uint32_t seen)
{
    if (m->crowded)
        return false;
    int64_t start = 0;
    for (;;) {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            if (atomic_load_explicit(&m->turn, memory_order_acquire) != seen)
                return true;
            pause_briefly();
        }
        int64_t now = now_ns();
        if (start == 0)
            start = now;
        else if (now - start > SPIN_NS)
            return false;
    }
}

/* The kernel compares once more before it lets a thread sleep; the waker changes the turn before it looks for sleepers,
 * the sleeper counts itself before it looks at the turn: one of them sees the other. */
static void wait_for_turn(team *m, uint32_t seen)
{
    if (turns_soon(m, seen))
        return;
    atomic_fetch_add(&m->sleepers, 1);
    while (atomic_load(&m->turn) == seen) {
#ifdef __linux__
        syscall(SYS_futex, &m->turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
#else
        sched_yield();
#endif
    }
    atomic_fetch_sub(&m->sleepers, 1);
}

static void change_turn(team *m, bool wake)
{
    atomic_fetch_add(&m->turn, 1);
#ifdef __linux__
    if (wake && atomic_load(&m->sleepers) > 0)
        syscall(SYS_futex, &m->turn, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
#else
    (void)wake;
#endif
}

/* ---- phases ------------------------------------------------------------------------------------------------------ */

/* The next phase that has parts, or the end of the job. `thread` is who finished the last one. Setting up counts as one
 * part more: else a phase could end, and the next be set up, while this one's last counters are still to be written. */
static void next_phase(team *m, int thread)
{
    const gr__job *job = m->job;
    int ph = atomic_load_explicit(&m->phase, memory_order_relaxed);
    do {
        for (ph++; ph < job->n_phases && job->phase[ph].share[job->threads] == 0;)
            ph++;
        if (ph == job->n_phases) {
            atomic_store(&m->phase, -1);
            change_turn(m, thread != 0); /* the caller alone waits for this */
            return;
        }
        const gr__job_phase *p = &job->phase[ph];
        int all = p->share[job->threads];
        atomic_store(&m->left, all + 1);
        atomic_store(&m->phase, ph);
        for (int t = 0; t < job->threads; t++)
            atomic_store(&m->share[t].next, (uint64_t)p->share[t + 1] << END_SHIFT | (uint32_t)p->share[t]);
        change_turn(m, all > p->own || thread != 0);
    } while (atomic_fetch_sub(&m->left, 1) == 1); /* the others were faster */
}

/* A part of the phase that is running: one's own share first, then the others'. -1: there is none left. */
static int claim(team *m, int thread)
{
    for (int i = 0; i < m->threads; i++) {
        int t = thread + i < m->threads ? thread + i : thread + i - m->threads;
        uint64_t v = atomic_load_explicit(&m->share[t].next, memory_order_relaxed);
        if ((uint32_t)v >= (uint32_t)(v >> END_SHIFT))
            continue;
        v = atomic_fetch_add(&m->share[t].next, 1);
        if ((uint32_t)v < (uint32_t)(v >> END_SHIFT))
            return (int)(uint32_t)v;
    }
    return -1;
}

static void do_part(team *m, int part, int thread)
{
    const gr__job *job = m->job;
    job->part(job->ctx, atomic_load_explicit(&m->phase, memory_order_relaxed), part, thread);
    if (atomic_fetch_sub(&m->left, 1) == 1)
        next_phase(m, thread);
}

#ifdef _OPENMP
static void help(team *m, int thread)
{
    for (;;) {
        uint32_t seen = atomic_load(&m->turn);
        if (atomic_load(&m->over))
            return;
        for (int part; (part = claim(m, thread)) >= 0;)
            do_part(m, part, thread);
        wait_for_turn(m, seen);
    }
}
#endif

static void lead(team *m, const gr__job *job)
{
    int own_done = -1;
    m->job = job;
    atomic_store(&m->phase, -1);
    next_phase(m, 0);
    for (;;) {
        uint32_t seen = atomic_load(&m->turn);
        int ph = atomic_load(&m->phase);
        if (ph < 0)
            return;
        if (ph != own_done) { /* a phase with parts of its own cannot pass before they are done */
            own_done = ph;
            for (int part = 0; part < job->phase[ph].own; part++)
                do_part(m, part, 0);
        }
        for (int part; (part = claim(m, 0)) >= 0;)
            do_part(m, part, 0);
        wait_for_turn(m, seen);
    }
}

/* ---- the public side --------------------------------------------------------------------------------------------- */

static void alone(const gr__job *job)
{
    for (int ph = 0; ph < job->n_phases; ph++)
        for (int part = 0; part < job->phase[ph].share[job->threads]; part++)
            job->part(job->ctx, ph, part, 0);
}

static void run_held(void *job)
{
    lead(held, job);
}

void gr__job_run(const gr__job *job)
{
    if (job->threads == 1 || atomic_load_explicit(&orphan, memory_order_relaxed))
        alone(job);
    else if (held && held->threads == job->threads)
        lead(held, job);
    else
        gr__team_hold(job->threads, run_held, (void *)job);
}

void gr__team_hold(int threads, void (*f)(void *ctx), void *ctx)
{
    team *outer = held;
    team m = {.threads = threads < 1 ? 1 : threads > GR_MAX_THREADS ? GR_MAX_THREADS : threads};
    atomic_init(&m.phase, -1);
    m.crowded = m.threads > gr__cpu_count();
#ifdef _OPENMP
    static pthread_once_t watching = PTHREAD_ONCE_INIT;
    pthread_once(&watching, watch_forks);
    if (m.threads > 1 && !omp_in_parallel() && !atomic_load(&orphan)) {
#pragma omp parallel num_threads(m.threads) default(none) shared(m, f, ctx)
        {
            int thread = omp_get_thread_num(); /* if there are fewer than asked for, the others take their shares */
            uint64_t denormals = thread ? gr__ftz_on() : 0;
            if (thread == 0) {
                held = &m;
                f(ctx);
                atomic_store(&m.over, true);
                change_turn(&m, true);
            } else {
                help(&m, thread);
                gr__ftz_restore(denormals);
            }
        }
        held = outer;
        return;
    }
#endif
    held = &m;
    f(ctx);
    held = outer;
}
