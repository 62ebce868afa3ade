/* compiler/layout.c: see layout.h. The rules, named as GRAPE_WHY=1 prints them, are in the strings below. */
#include "compiler/layout.h"
#include "ops/kernels/gemm.h"
#include <string.h>

enum {
    SMALL = 4096,         /* elements: one task is enough */
    L1_BYTES = 24 << 10,  /* of scratch, where there is a choice */
    MAP_BYTES = 72 << 10, /* of all an elementwise tile touches, most of it not at one time */
    L2_BYTES = 384 << 10, /* of scratch at most */
    MAP_TILE = 2048,      /* elements of an elementwise tile */
    WIDE_DEPTH = 256,
    WIDE_TILES = 32,
    PANEL_ROWS = 48,       /* of a product's row panel, where there are enough */
    MANY = 1 << 16,        /* elements: more than few strips should do */
    STRIPS = 8,            /* tasks wanted at least, */
    PACKED_TASKS = 16,     /* of a product by a packed b, */
    PACKED_WORK = 1 << 19, /* if each has that many multiply-adds, about 12 us */
};

/* ---- operands in two dimensions ---------------------------------------------------------------------------------- */

/* Axes d .. end as one: the stride of their collapsed index. False if they do not collapse. */
static bool collapse(const gr__access *a, int64_t d, int64_t end, int64_t *stride)
{
    int64_t count = 1;
    *stride = 0;
    for (int64_t k = end - 1; k >= d; k--) {
        if (a->shape->dim[k] == 1)
            continue;
        if (count == 1)
            *stride = a->stride[k];
        else if (a->stride[k] != *stride * count)
            return false;
        count *= a->shape->dim[k];
    }
    return true;
}

gr__plane gr__plane_of(const gr__access *a, int64_t rows, int64_t cols)
{
    gr__plane x = {.offset = a->offset};
    int64_t inner = 1, d = a->shape->rank;
    while (d > 0 && inner < cols)
        inner *= a->shape->dim[--d];
    if (inner == cols)
        x.plain = collapse(a, 0, d, &x.row) && collapse(a, d, a->shape->rank, &x.col);
    if (inner == cols || x.plain)
        return x;
    int64_t flat = 0; /* the border lies inside an axis: fine if all of it is one run */
    x.plain = collapse(a, 0, a->shape->rank, &flat);
    x.row = flat * cols;
    x.col = flat;
    (void)rows;
    return x;
}

/* ---- the set under question -------------------------------------------------------------------------------------- */

typedef struct {
    const gr__plan *p;
    int n;
    const int *node;
    gr__layout *l;
    const char *why;
    int whole;           /* the form of what varies along all of the domain */
    bool sums, products; /* are there any? */
    bool formed, by_row; /* forms are known, and which order they were tried in */
    const gr__pnode *at[GR__GROUP_NODES];
    unsigned char n_in[GR__GROUP_NODES]; /* operands read tile by tile: none of a product's */
    signed char from[GR__GROUP_NODES][GR__OPERANDS]; /* and which node of the set makes each, or -1 */
    unsigned char last[GR__GROUP_NODES]; /* the last that reads it so, or itself */
} set;

static int member(const set *s, int node)
{
    int i = s->p->place[node];
    return i < s->n && s->node[i] == node ? i : -1;
}

static const gr__pnode *at(const set *s, int i)
{
    return s->at[i];
}

static int64_t count_of(const set *s, int value)
{
    return s->p->value[value].count;
}

static int64_t form_size(const gr__layout *l, int form)
{
    return gr__form_rows(l, form) * gr__form_cols(l, form);
}

/* Strides of a value of this form as it lies in memory or scratch. */
static bool natural(const gr__layout *l, int form, const gr__plane *x)
{
    int64_t row = !(form & GR__ROWS) ? 0 : form & GR__COLS ? l->cols : 1, col = form & GR__COLS ? 1 : 0;
    return x->plain && x->offset == 0 && (x->row == row || l->rows == 1) && (x->col == col || l->cols == 1);
}

static bool operands_fit(set *s, int i, int form)
{
    const gr__pnode *n = at(s, i);
    gr__layout *l = s->l;
    for (int k = 0; k < s->n_in[i]; k++) {
        const gr__access *a = &n->access[k];
        int from = s->from[i][k];
        if (from < 0 || (a->same && l->form[from] == form))
            continue;
        gr__plane x = gr__plane_of(a, gr__form_rows(l, form), gr__form_cols(l, form));
        int own = l->form[from] & form; /* the operand may vary along less, not along more */
        if (own != l->form[from] || !natural(l, own, &x)) {
            s->why = "L2: an operand made in the group is read in another order than it is made in";
            return false;
        }
    }
    return true;
}

static bool elementwise_form(set *s, int i)
{
    gr__layout *l = s->l;
    int64_t n = count_of(s, at(s, i)->value);
    const int first_col[] = {3, 2, 1, 0}, first_row[] = {3, 1, 2, 0};
    s->why = "L2: shapes do not fit one domain of rows and columns";
    for (int k = 0; k < 4; k++) {
        int f = (l->kind == GR__ROW ? first_row : first_col)[k] & s->whole;
        if (form_size(l, f) == n && operands_fit(s, i, f)) {
            l->form[i] = (unsigned char)f;
            return true;
        }
    }
    return false;
}

/* How many of the input's elements one sum runs over, if the summed axes lead (or trail) all others. */
static bool summed_axes(const gr_lowering *low, int64_t *leading, int64_t *trailing)
{
    bool ended = false, started = false, prefix = true, suffix = true;
    int64_t n = 1;
    for (int64_t d = 0; d < low->shape[0].rank; d++) {
        if (low->shape[0].dim[d] == 1)
            continue;
        if (low->axes[d]) {
            n *= low->shape[0].dim[d];
            prefix = prefix && !ended;
            started = true;
        } else {
            ended = true;
            suffix = suffix && !started;
        }
    }
    *leading = prefix ? n : 0;
    *trailing = suffix ? n : 0;
    return prefix || suffix;
}

static bool reduce_form(set *s, int i)
{
    const gr__pnode *n = at(s, i);
    gr__layout *l = s->l;
    int root = n->access[0].value, from = s->from[i][0], form = -1;
    int64_t in = count_of(s, root), leading, trailing;
    for (int f = 3; f >= 0 && form < 0; f--)
        if (form_size(l, f & s->whole) == in && (from < 0 || l->form[from] == (f & s->whole)))
            form = f & s->whole;
    s->why = "L2: the axes summed over are neither the rows nor the columns";
    if (form < 0 || !summed_axes(n->low, &leading, &trailing))
        return false;
    int64_t r = gr__form_rows(l, form), c = gr__form_cols(l, form);
    int axes = leading == r * c ? form : trailing == c && c > 1 ? GR__COLS : leading == r && r > 1 ? GR__ROWS : -1;
    if (axes < 0)
        return false;
    l->reduced[i] = (unsigned char)axes;
    l->form[i] = (unsigned char)(form & ~axes);
    return true;
}

static bool contract_form(set *s, int i)
{
    const gr__pnode *n = at(s, i);
    gr__layout *l = s->l;
    s->why = "L2: a product's operand is made in the group";
    if (member(s, s->p->value[n->operand[0]].node) >= 0 || member(s, s->p->value[n->operand[1]].node) >= 0)
        return false;
    s->why = "L2: a product of another size";
    l->form[i] = (unsigned char)s->whole;
    return n->low->groups * n->low->m == l->rows && n->low->n == l->cols;
}

/* Of all kinds but ROW they are the same. */
static bool forms(set *s)
{
    const bool by_row = s->l->kind == GR__ROW;
    if (s->formed && s->by_row == by_row)
        return true;
    s->formed = false;
    s->by_row = by_row;
    for (int i = 0; i < s->n; i++) {
        gr__work w = at(s, i)->work;
        if (!(w == GR__CONTRACT ? contract_form(s, i) : w == GR__REDUCE ? reduce_form(s, i) : elementwise_form(s, i)))
            return false;
    }
    return s->formed = true;
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

/* Axes along which tasks are cut. */
static int cut(const set *s)
{
    static const int of[] = {[GR__MAP] = 3, [GR__ROW] = GR__ROWS, [GR__COL] = GR__COLS, [GR__ALL] = 0};
    return of[s->l->kind] & s->whole;
}

/* Reductions: which are partial, and does anybody in the set read one that is? */
static bool partials_fit(set *s)
{
    gr__layout *l = s->l;
    const int across = cut(s);
    bool any = false;
    for (int i = 0; i < s->n; i++) {
        l->partial[i] = at(s, i)->work == GR__REDUCE && (l->reduced[i] & across);
        int form = l->partial[i] ? l->form[i] | (l->reduced[i] & across) : l->form[i];
        s->why = "L4: a small value would be computed by every task";
        if (form && (form & across) != across)
            return false;
        if (!form && across && at(s, i)->work != GR__TILE)
            return false;
        s->why = "L2: a sum is used in the group that is cut along its axis";
        for (int k = 0; k < s->n_in[i] && any; k++)
            if (s->from[i][k] >= 0 && l->partial[s->from[i][k]])
                return false;
        any = any || l->partial[i];
    }
    return true;
}

/* Whole tiles that live at one time: made in the group, read later in it. Memory operands need none. */
static int live_tiles(const set *s)
{
    int dying[GR__GROUP_NODES] = {0}, live = 0, most = 0;
    for (int i = 0; i < s->n; i++) { /* nobody reads it before it is made */
        const bool has_tile = s->l->form[i] == s->whole && !gr__as_if_read(at(s, i));
        live += has_tile;
        most = live > most ? live : most;
        dying[s->last[i]] += has_tile;
        live -= dying[i];
    }
    return most;
}

/* Whole operands that are read from outside. */
static int streams(const set *s)
{
    int seen[GR__GROUP_NODES * GR_TILE_INPUTS], n = 0;
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < s->n_in[i] && !gr__as_if_read(at(s, i)); k++) {
            int value = at(s, i)->access[k].value, from = s->from[i][k], q = 0;
            if ((from >= 0 && !gr__as_if_read(at(s, from))) || count_of(s, value) < s->l->rows * s->l->cols)
                continue;
            while (q < n && seen[q] != value)
                q++;
            seen[q] = value;
            n += q == n;
        }
    return n;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    x = x > high ? high : x;
    return x < low ? low : x;
}

static int64_t divided(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* The length of the longest product's sums; 0 if there is none. */
static int64_t depth(const set *s)
{
    int64_t k = 0;
    for (int i = 0; i < s->n; i++)
        if (at(s, i)->work == GR__CONTRACT)
            k = at(s, i)->low->k > k ? at(s, i)->low->k : k;
    return k;
}

/* Do all products have a packed b? */
static bool packed(const set *s)
{
    for (int i = 0; i < s->n; i++)
        if (at(s, i)->work == GR__CONTRACT && !at(s, i)->low->b_block)
            return false;
    return true;
}

/* Is a transposed a among the products' operands? Each task copies its part of it. */
static bool copies_a(const set *s)
{
    for (int i = 0; i < s->n; i++)
        if (at(s, i)->work == GR__CONTRACT && at(s, i)->low->a_row == 1 && at(s, i)->low->a_col != 1)
            return true;
    return false;
}

/* Columns of a product's tasks. One whose b is packed copies nothing, so it may be narrow: then a thread that begins
 * late holds up less, and the sums are still in the first cache when bias and relu come. One that copies
 * a too should be wide, where there are tasks enough. */
static int64_t part_cols(const set *s, const gr__gemm_part *part, int64_t k)
{
    const int64_t r = s->l->rows, c = s->l->cols, rows = clamp(part->rows, 1, r), strip = gr__gemm_strip();
    int64_t cols = part->cols;
    while (packed(s) && cols >= 2 * strip && divided(r, rows) * divided(c, cols) < PACKED_TASKS &&
           rows * clamp(cols, 1, c) * k >= PACKED_WORK)
        cols /= 2;
    while (copies_a(s) && 2 * cols <= clamp(part->wide_cols, 1, c) &&
           divided(r, rows) * divided(c, 2 * cols) >= STRIPS)
        cols *= 2;
    return clamp(cols, 1, c);
}

/* Of a product that is not cut to strips or panels, with what follows it. A wide tile goes along whole rows, which a
 * prefetcher follows and which lie on few pages: narrow ones, down a matrix whose rows are 2 KiB, made a transformer's
 * step a tenth slower, and twice as slow where addresses are slow to translate. Sums too long for that part of b to
 * stay in L2 are better off with few columns. */
static void product_tile(const set *s, int64_t k)
{
    const gr__gemm_part *part = gr__gemm_parts();
    gr__layout *l = s->l;
    const int64_t r = l->rows, c = l->cols, cols = clamp(part->wide_cols, 1, c);
    const int64_t bytes = (l->full_tiles ? l->full_tiles : 1) * (l->f64 ? 8 : 4);
    const int64_t most = clamp(L2_BYTES / (cols * bytes), 1, part->wide_rows);
    const int64_t rows = clamp(divided(r, WIDE_TILES), clamp(part->wide_rows / 2, 1, most), most);
    if (c > part->cols && k <= WIDE_DEPTH && divided(r, rows) * divided(c, cols) >= STRIPS) {
        l->tile_rows = clamp(rows, 1, r);
        l->tile_cols = cols;
        return;
    }
    l->tile_cols = clamp(part->cols, 1, c);
    l->tile_rows = clamp(part->rows, 1, r);
    if (part->least_rows == part->rows)
        return;
    l->tile_cols = part_cols(s, part, k);
    if (divided(r, part->rows) * divided(c, l->tile_cols) < STRIPS)
        l->tile_rows = clamp(part->least_rows, 1, r);
    l->tile_rows = clamp(L2_BYTES / (l->tile_cols * bytes), 1, l->tile_rows);
    l->tile_rows = divided(r, divided(r, l->tile_rows)); /* nearly equal ones */
}

static bool tile_size(set *s)
{
    gr__layout *l = s->l;
    bool product = s->products;
    int64_t elem = l->f64 ? 8 : 4, tiles = l->full_tiles = live_tiles(s), r = l->rows, c = l->cols;
    int64_t fits = L1_BYTES / (elem * (tiles ? tiles : 1));
    switch (l->kind) {
    case GR__ALL:
        l->tile_rows = r;
        l->tile_cols = c;
        break;
    case GR__ROW: {
        int64_t least = product ? PANEL_ROWS : 1;
        l->tile_cols = c;
        l->tile_rows = clamp(fits / c, least, divided(r, STRIPS));
        l->tile_rows = clamp(product ? divided(l->tile_rows, 8) * 8 : l->tile_rows, 1, r);
        break;
    }
    case GR__COL: {
        int64_t strip = product ? gr__gemm_strip() : 32;
        l->tile_rows = r;
        l->tile_cols = product ? strip : clamp(fits / r / 16 * 16, strip, 128);
        if (!product && divided(c, l->tile_cols) < STRIPS)
            l->tile_cols = clamp(divided(divided(c, STRIPS), 16) * 16, strip / 2, 128);
        l->tile_cols = clamp(l->tile_cols, 1, c);
        break;
    }
    default:
        if (product) {
            product_tile(s, depth(s));
            break;
        }
        fits = clamp(MAP_BYTES / (elem * (tiles + streams(s) + 1)) / 64 * 64, 256, MAP_TILE);
        l->tile_cols = clamp(fits, 1, c);
        l->tile_rows = clamp(fits / l->tile_cols, 1, r);
    }
    s->why = "L6: the tiles that live at one time do not fit in the cache";
    return tiles * l->tile_rows * l->tile_cols * elem <= L2_BYTES;
}

/* The axes summed over by those that have a reader in the set. */
static int used_sums(const set *s)
{
    int axes = 0;
    for (int i = 0; i < s->n && s->sums; i++)
        if (at(s, i)->work == GR__REDUCE && s->last[i] != i)
            axes |= s->l->reduced[i];
    return axes;
}

static bool any_sum(const set *s, int axes)
{
    for (int i = 0; i < s->n && s->sums; i++)
        if (at(s, i)->work == GR__REDUCE && s->l->reduced[i] == axes)
            return true;
    return false;
}

static bool try_kind(set *s, gr__orientation kind)
{
    s->l->kind = kind;
    return forms(s) && partials_fit(s) && tile_size(s);
}

/* Product flops and elements of the whole set, in elements' worth. */
static double work_of(const set *s)
{
    double w = 0;
    for (int i = 0; i < s->n; i++) {
        const gr_lowering *l = at(s, i)->low;
        w += at(s, i)->work == GR__CONTRACT ? (double)(l->groups * l->m) * (double)l->n * (double)l->k / 16
                                            : (double)form_size(s->l, s->l->form[i]);
    }
    return w;
}

static bool choose_kind(set *s)
{
    gr__layout *l = s->l;
    l->kind = GR__MAP;
    if (!forms(s))
        return false;
    const int used = used_sums(s);
    bool by_row = used & GR__ROWS, by_col = used & GR__COLS;
    bool small = l->rows * l->cols <= SMALL && work_of(s) <= 3 * SMALL;
    if (small || (by_row && by_col))
        if (l->rows * l->cols <= SMALL && try_kind(s, GR__ALL))
            return true;
    if (by_row && by_col) {
        s->why = "L2: sums over rows and over columns are both used in the group";
        return false;
    }
    if (by_row && l->rows * l->cols > MANY && divided(l->cols, 32) < STRIPS) {
        s->why = "L9: too few strips of columns for so many rows";
        return false;
    }
    if (by_row)
        return try_kind(s, GR__COL);
    if (by_col)
        return try_kind(s, GR__ROW);
    bool strips = l->cols >= 32 && (l->rows * l->cols <= MANY || divided(l->cols, 32) >= STRIPS);
    if (any_sum(s, GR__ROWS) && strips && try_kind(s, GR__COL))
        return true;
    if (any_sum(s, GR__COLS) && l->rows >= STRIPS && try_kind(s, GR__ROW))
        return true;
    return try_kind(s, GR__MAP) || try_kind(s, GR__ROW) || try_kind(s, GR__COL);
}

/* ---- domains ----------------------------------------------------------------------------------------------------- */

/* Where a node wants the border between rows and columns: the number of columns, or 0 if it does not care. */
static int64_t border(const set *s, int i)
{
    const gr__pnode *n = at(s, i);
    int64_t leading, trailing;
    if (n->work == GR__CONTRACT)
        return n->low->n;
    if (n->work == GR__REDUCE) {
        int64_t all = count_of(s, n->access[0].value);
        if (!summed_axes(n->low, &leading, &trailing) || leading == all)
            return 0;
        return trailing ? trailing : all / leading;
    }
    for (int k = 0; k < n->node->n_in; k++) {
        const gr__access *a = &n->access[k];
        int64_t inner = 1, all = count_of(s, n->value);
        if (all == count_of(s, a->value) || count_of(s, a->value) == 1)
            continue;
        for (int64_t d = a->shape->rank - 1; d >= 0; d--) { /* the innermost change between moving and standing still */
            inner *= a->shape->dim[d];
            gr__plane x = gr__plane_of(a, all / inner, inner);
            if (x.plain && inner < all && inner > 1 && (x.row == 0 || x.col == 0))
                return inner;
        }
    }
    return 0;
}

/* The same, asked but once: it depends on the node alone. */
static int64_t wanted_cols(const set *s, int i)
{
    gr__pnode *n = &s->p->node[s->node[i]];
    if (!n->border)
        n->border = border(s, i) + 1;
    return n->border - 1;
}

/* Who makes what is read, and who reads what is made. */
static void find_makers(set *s)
{
    for (int i = 0; i < s->n; i++) {
        const gr__pnode *n = at(s, i);
        s->n_in[i] = n->work == GR__CONTRACT ? 0 : (unsigned char)n->node->n_in;
        s->last[i] = (unsigned char)i;
        for (int k = 0; k < s->n_in[i]; k++) {
            const int from = member(s, n->access[k].node);
            s->from[i][k] = (signed char)from;
            if (from >= 0)
                s->last[from] = (unsigned char)i;
        }
    }
}

/* Nothing known but the domain. */
static void start_layout(set *s, int64_t rows, int64_t cols)
{
    gr__layout *l = s->l;
    l->rows = rows;
    l->cols = cols;
    s->whole = (rows > 1 ? GR__ROWS : 0) | (cols > 1 ? GR__COLS : 0);
    l->f64 = at(s, 0)->f64;
    memset(l->reduced, 0, (size_t)s->n * sizeof *l->reduced);
    s->formed = false;
}

bool gr__layout_of(const gr__plan *p, int n, const int *node, gr__layout *out, const char **why)
{
    set s;
    s.p = p, s.n = n, s.node = node, s.l = out, s.why = "L7: too many nodes for one group";
    s.sums = s.products = false;
    int64_t most = 1, cols[GR__GROUP_NODES + 2];
    int n_cols = 0;
    bool examples = false;
    *why = s.why;
    if (n > GR__GROUP_NODES)
        return false;
    for (int i = 0; i < n; i++) {
        const gr__pnode *q = s.at[i] = &p->node[node[i]];
        int64_t count = count_of(&s, q->work == GR__REDUCE ? q->access[0].value : q->value);
        most = count > most ? count : most;
        *why = "one compute type: float32 and float64 do not mix in a group";
        if (q->f64 != p->node[node[0]].f64)
            return false;
        p->place[node[i]] = i;
        examples = examples || q->examples;
        s.sums = s.sums || q->work == GR__REDUCE;
        s.products = s.products || q->work == GR__CONTRACT;
    }
    if (examples)
        return gr__example_layout(p, n, node, out, why);
    find_makers(&s);
    for (int i = 0; i < n; i++) {
        int64_t c = wanted_cols(&s, i);
        int k = 0;
        while (k < n_cols && cols[k] != c)
            k++;
        if (k == n_cols && c > 0 && most % c == 0)
            cols[n_cols++] = c;
    }
    cols[n_cols++] = most; /* one row */
    for (int k = 0; k < n_cols; k++) {
        start_layout(&s, most / cols[k], cols[k]);
        if (choose_kind(&s))
            return true;
        *why = k == 0 ? s.why : *why;
    }
    return false;
}
