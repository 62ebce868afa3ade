/* core/kind.c and core/kind_text.c, with a family, "dish", of three kinds that live here alone. */
#include "core/kind.h"
#include "core/mem.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

typedef struct dish_kind {
    union {
        gr_kind kind;
        struct {
            GR_KIND_HEAD
        };
    };
    int calories; /* what a family adds */
} dish_kind;
typedef struct dish {
    const dish_kind *kind;
    gr_at at;
} dish;

typedef enum { HOT_DEFAULT, HOT_MILD, HOT_WILD } heat;
static const char *const heats[] = {"default", "mild", "wild", NULL};

typedef struct {
    dish base;
    int plates;
    int64_t seeds;
    float salt;
    double oil;
    bool no_lid, has_oil;
    const char *herb;
    gr_shape tray;
    gr_dtype dtype;
    int heat;
    const dish *side;
    void (*serve)(void);
} SweetPotato_spec;
static const gr_field potato_fields[] = {
    GR_INT(SweetPotato_spec, plates, .required = true, .min = 1, .max = 12),
    GR_INT64(SweetPotato_spec, seeds),
    GR_FLOAT(SweetPotato_spec, salt, .def = 0.1, .above_min = true, .max = 1),
    GR_DOUBLE(SweetPotato_spec, oil, .def = 0.5, .has_min = true, .below_max = true, .max = 1,
        .flag = GR_FLAG(SweetPotato_spec, has_oil)),
    GR_BOOL(SweetPotato_spec, no_lid),
    GR_STRING(SweetPotato_spec, herb, .def_string = "dill"),
    GR_SHAPE_FIELD(SweetPotato_spec, tray),
    GR_DTYPE_FIELD(SweetPotato_spec, dtype),
    GR_ENUM_FIELD(SweetPotato_spec, heat, .choices = heats),
    GR_SPEC_FIELD(SweetPotato_spec, side),
    GR_POINTER_FIELD(SweetPotato_spec, serve),
    {0}};
static const dish_kind SweetPotato_kind = {
    .name = "SweetPotato", .size = sizeof(SweetPotato_spec), .fields = potato_fields, .family = "dish", .calories = 90};
#define SweetPotato(...) GR_SPEC(SweetPotato, .plates = __VA_ARGS__)

typedef struct {
    dish base;
} Water_spec;
static const dish_kind Water_kind = {.name = "Water", .size = sizeof(Water_spec), .family = "dish"};
#define Water() GR_SPEC(Water, )

typedef struct {
    dish base;
    gr_shape layers;
    const char *filling;
    const dish *topping;
} Lasagna_spec;
static const gr_field lasagna_fields[] = {
    GR_SHAPE_FIELD(Lasagna_spec, layers, .required = true, .min = 1),
    GR_STRING(Lasagna_spec, filling, .required = true),
    GR_SPEC_FIELD(Lasagna_spec, topping, .required = true),
    {0}};
static const dish_kind Lasagna_kind = {
    .name = "Lasagna", .size = sizeof(Lasagna_spec), .fields = lasagna_fields, .family = "dish"};

static const gr_kind_entry dishes[] = {
    {&SweetPotato_kind.kind, "yam|batata"}, {&Water_kind.kind, NULL}, {&Lasagna_kind.kind, NULL}, {NULL, NULL}};

static void expect_error(gr_status status, const char *part, const char *why)
{
    GR_EXPECT(gr_error() == status && strstr(gr_error_message(), part), "%s: found %s \"%s\", expected \"%s\"", why,
        gr_status_name(gr_error()), gr_error_message(), part);
    gr_error_clear();
}

static void a_copy_has_the_defaults_and_owns_its_texts(void)
{
    char herb[] = "sage";
    SweetPotato_spec *a = gr_spec_copy(SweetPotato(3)), *b = gr_spec_copy(SweetPotato(3, .herb = herb, .salt = 0.25f));
    CU_ASSERT_FATAL(a && b);
    CU_ASSERT(a->plates == 3 && a->salt == 0.1f && a->oil == 0.5 && a->seeds == 0 && !a->no_lid);
    CU_ASSERT_STRING_EQUAL(a->herb, "dill");
    herb[0] = 'r';
    CU_ASSERT(strcmp(b->herb, "sage") == 0 && b->salt == 0.25f);
    CU_ASSERT(a->base.kind == &SweetPotato_kind && a->base.at.line > 0 && a->base.kind->calories == 90);
    SweetPotato_spec *c = gr_spec_copy(a); /* a copy of a copy */
    CU_ASSERT(c && c->herb != a->herb && strcmp(c->herb, "dill") == 0 && c->oil == 0.5);
    gr_spec_free(a), gr_spec_free(b), gr_spec_free(c), gr_spec_free(NULL);
}

static void a_presence_flag_lets_0_be_asked_for(void)
{
    SweetPotato_spec *a = gr_spec_copy(SweetPotato(1, .has_oil = true, .oil = 0));
    CU_ASSERT(a && a->oil == 0);
    char text[200];
    CU_ASSERT_STRING_EQUAL(gr_spec_text(a, text, sizeof text), "SweetPotato(plates=1, oil=0)");
    gr_spec_free(a);
}

static void nested_specs_are_copied_too(void)
{
    const dish *inner = SweetPotato(2, .herb = "mint");
    SweetPotato_spec *a = gr_spec_copy(SweetPotato(1, .side = inner));
    CU_ASSERT_FATAL(a != NULL);
    const SweetPotato_spec *side = (const SweetPotato_spec *)a->side;
    CU_ASSERT(a->side != inner && side->plates == 2 && strcmp(side->herb, "mint") == 0 && side->salt == 0.1f);
    gr_spec_free(a);
    SweetPotato_spec loop = {.base.kind = &SweetPotato_kind, .plates = 1};
    loop.side = &loop.base;
    CU_ASSERT_PTR_NULL(gr_spec_copy(&loop));
    expect_error(GR_EARG, "specs within specs", "a spec within itself");
}

static void impossible_values_name_kind_field_and_range(void)
{
    const struct {
        const char *why;
        const void *spec;
        const char *part;
    } rows[] = {
        {"required", SweetPotato(0),
            "SweetPotato: argument plates: expected a number of at least 1 and at most 12, found 0"},
        {"too many", SweetPotato(13), "argument plates: expected a number of at least 1 and at most 12, found 13"},
        {"negative", SweetPotato(-1), "found -1"},
        {"open end", SweetPotato(1, .salt = -0.5f),
            "argument salt: expected a number above 0 and at most 1, found -0.5"},
        {"NaN", SweetPotato(1, .salt = NAN), "argument salt: expected a number above 0 and at most 1, found nan"},
        {"infinity", SweetPotato(1, .salt = INFINITY), "found inf"},
        {"open top", SweetPotato(1, .oil = 1), "argument oil: expected a number of at least 0 and below 1, found 1"},
        {"enum", SweetPotato(1, .heat = 3), "argument heat: expected one of its names (0 .. 2), found 3"},
        {"dtype", SweetPotato(1, .dtype = (gr_dtype)99), "argument dtype: expected a dtype"},
        {"rank", SweetPotato(1, .tray = {9, {0}}), "argument tray: expected at most 8 numbers, found 9"},
        {"no list", GR_SPEC(Lasagna, .filling = "x"), "argument layers: expected a list of numbers (it is required)"},
        {"range of a list", GR_SPEC(Lasagna, .layers = GR_SHAPE(2, 0)),
            "argument layers: expected a number of at least 1, found [2, 0]"},
        {"no text", GR_SPEC(Lasagna, .layers = GR_SHAPE(2)),
            "argument filling: expected a value (it is required), found none"},
        {"no spec", GR_SPEC(Lasagna, .layers = GR_SHAPE(2), .filling = "a"), "argument topping: expected a value"},
        {"of a nested one", SweetPotato(1, .side = SweetPotato(40)),
            "plates: expected a number of at least 1 and at most 12, found 40"},
        {"no kind", &(Water_spec){.base.kind = NULL}, "expected a spec made by its macro"},
        {"NULL", NULL, "expected a spec, found NULL"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        GR_EXPECT(!gr_spec_copy(rows[i].spec), "%s", rows[i].why);
        if (i < 15)
            GR_EXPECT(strncmp(gr_error_message(), "test_kind.c:", 12) == 0, "%s: no place", rows[i].why);
        expect_error(GR_EARG, rows[i].part, rows[i].why);
    }
}

static void text_gives_what_differs_from_the_default(void)
{
    const struct {
        const void *spec;
        const char *want;
    } rows[] = {
        {Water(), "Water"},
        {SweetPotato(3), "SweetPotato(plates=3)"},
        {SweetPotato(3, .salt = 0.1f, .herb = "dill", .oil = 0.5), "SweetPotato(plates=3)"},
        {SweetPotato(3, .salt = 0.3f, .no_lid = true, .tray = GR_SHAPE(2, 3)),
            "SweetPotato(plates=3, salt=0.3, no_lid=true, tray=[2, 3])"},
        {SweetPotato(1, .herb = "bay (dried), \"old\"\n", .heat = HOT_WILD, .dtype = GR_F64),
            "SweetPotato(plates=1, herb=\"bay (dried), \\\"old\\\"\\n\", dtype=float64, heat=wild)"},
        {SweetPotato(1, .side = Water(), .seeds = -7), "SweetPotato(plates=1, seeds=-7, side=Water)"},
        {SweetPotato(1, .serve = a_copy_has_the_defaults_and_owns_its_texts), "SweetPotato(plates=1, serve=pointer)"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[300], small[12];
        gr_spec_text(rows[i].spec, text, sizeof text);
        GR_EXPECT(strcmp(text, rows[i].want) == 0, "found %s, expected %s", text, rows[i].want);
        gr_spec_text(rows[i].spec, small, sizeof small);
        size_t n = strlen(text) < sizeof small ? strlen(text) : sizeof small - 1;
        GR_EXPECT(strlen(small) == n && strncmp(small, text, n) == 0, "cut: %.12s", small);
    }
}

static void text_parses_back_to_an_equal_spec(void)
{
    const dish *specs[] = {Water(), SweetPotato(3),
        SweetPotato(12, .salt = 1.0f / 3, .oil = 1.0 / 3, .no_lid = true, .seeds = INT64_MIN),
        SweetPotato(1, .has_oil = true, .oil = 0, .herb = "null"), SweetPotato(1, .herb = ""),
        SweetPotato(1, .herb = "a\\\"b, (c=[d"),
        SweetPotato(1, .tray = GR_SHAPE(GR_BATCH, gr_dim_batch(3), -1), .heat = HOT_MILD, .dtype = GR_U8)};
    for (size_t i = 0; i < COUNT(specs); i++) {
        char one[400], two[400];
        void *a = gr_spec_copy(specs[i]), *b = gr_spec_parse(gr_spec_text(a, one, sizeof one), dishes, "dish", GR_HERE);
        GR_EXPECT(b != NULL, "%s: %s", one, gr_error_message());
        gr_error_clear();
        if (b)
            GR_EXPECT(strcmp(one, gr_spec_text(b, two, sizeof two)) == 0, "%s came back as %s", one, two);
        gr_spec_free(a), gr_spec_free(b);
    }
}

static void names_and_options_may_be_spelled_in_these_ways(void)
{
    static const char *const same[] = {"SweetPotato(plates=4, salt=0.5)", "sweet_potato(4, salt=0.5)",
        "yam(salt=5e-1,plates=4)", " batata ( plates = 4 , salt = 0.5 ) ", "yam(4, salt=.5,)", "yam(4, 0, 0.5)"};
    for (size_t i = 0; i < COUNT(same); i++) {
        char text[200];
        void *a = gr_spec_parse(same[i], dishes, "dish", GR_HERE);
        GR_EXPECT(a && strcmp(gr_spec_text(a, text, sizeof text), "SweetPotato(plates=4, salt=0.5)") == 0, "%s: %s",
            same[i], a ? text : gr_error_message());
        gr_error_clear();
        gr_spec_free(a);
    }
}

static void texts_that_are_wrong_say_why(void)
{
    static const struct {
        const char *text;
        gr_status status;
        const char *part;
    } rows[] = {
        {"sweet_potatoe(3)", GR_ENAME,
            "unknown dish \"sweet_potatoe\" (did you mean sweet_potato?); known ones are sweet_potato, water, lasagna"},
        {"soup", GR_ENAME, "unknown dish \"soup\"; known ones are"},
        {"", GR_ENAME, "unknown dish \"\""},
        {"ya", GR_ENAME, "unknown dish"},
        {"yam", GR_EARG, "SweetPotato: argument plates"},
        {"yam(plates=0)", GR_EARG, "argument plates: expected a number of at least 1"},
        {"yam(plates=3, sault=1)", GR_ENAME,
            "SweetPotato: unknown option sault (did you mean salt?); known ones are plates, seeds, salt"},
        {"water(x=1)", GR_ENAME, "Water: unknown option x; it has none"},
        {"water(1)", GR_EARG, "Water: expected name=value, found 1"},
        {"yam(plates=3", GR_EARG, "expected a value that ends in , or )"},
        {"yam(plates=3,", GR_EARG, "expected a ) at the end"},
        {"yam(plates=3) x", GR_EARG, "expected nothing after its options, found x"},
        {"yam(plates=)", GR_EARG, "argument plates: expected a value of 1 .. 1023 characters, found 0"},
        {"yam(plates=three)", GR_EARG, "SweetPotato: argument plates: expected a whole number, found \"three\""},
        {"yam(plates=3000000000)", GR_EARG, "expected a whole number"},
        {"yam(3, salt=much)", GR_EARG, "argument salt: expected a number, found \"much\""},
        {"yam(3, no_lid=maybe)", GR_EARG, "argument no_lid: expected true or false"},
        {"yam(3, tray=[1, x])", GR_EARG, "argument tray: expected a list like [2, 3]"},
        {"yam(3, tray=[1, 2)", GR_EARG, "argument tray: expected a"},
        {"yam(3, tray=[1,2,3,4,5,6,7,8,9])", GR_EARG, "argument tray"},
        {"yam(3, dtype=float7)", GR_EARG, "argument dtype: expected float32"},
        {"yam(3, heat=mildd)", GR_ENAME,
            "SweetPotato: argument heat: unknown name \"mildd\" (did you mean mild?); known ones are default, mild, "
            "wild"},
        {"yam(3, herb=\"open)", GR_EARG, "argument herb: expected a value that ends"},
        {"yam(3, herb=\"a\"b)", GR_EARG, "argument herb: expected"},
        {"yam(3, side=water)", GR_EARG, "argument side: expected a spec or pointer"},
        {"yam(salt=1, 3)", GR_EARG, "expected name=value, found 3"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        void *spec = gr_spec_parse(rows[i].text, dishes, "dish", GR_HERE);
        GR_EXPECT(!spec, "%s was taken", rows[i].text);
        gr_spec_free(spec);
        expect_error(rows[i].status, rows[i].part, rows[i].text);
    }
    CU_ASSERT_PTR_NULL(gr_spec_parse(NULL, dishes, "dish", GR_HERE));
    expect_error(GR_EARG, "dish: expected a name, found NULL", "NULL");
}

static void every_cut_of_a_text_is_taken_or_refused_cleanly(void)
{
    static const char whole[] =
        "yam(plates=3, salt=0.5, herb=\"a \\\"b\\\" \\x41\", tray=[2, 3B], heat=wild, dtype=f64)";
    char cut[sizeof whole];
    for (size_t n = 0; n + 1 < sizeof whole; n++)
        for (int damage = 0; damage < 6; damage++) {
            memcpy(cut, whole, sizeof whole);
            cut[n] = "\0\"(\\]="[damage];
            void *spec = gr_spec_parse(cut, dishes, "dish", GR_HERE);
            GR_EXPECT((spec != NULL) == (gr_error() == GR_OK), "%s", cut);
            gr_error_clear();
            gr_spec_free(spec);
        }
}

static void setting_an_option_keeps_the_old_value_on_failure(void)
{
    SweetPotato_spec *a = gr_spec_copy(SweetPotato(3, .herb = "mint"));
    CU_ASSERT(gr_spec_set(a, "herb", "sage") == GR_OK && strcmp(a->herb, "sage") == 0);
    CU_ASSERT(gr_spec_set(a, "oil", "0") == GR_OK && a->has_oil && a->oil == 0);
    CU_ASSERT(gr_spec_set(a, "salt", "2") == GR_EARG && a->salt == 0.1f);
    expect_error(GR_EARG, "SweetPotato: argument salt: expected a number above 0 and at most 1, found 2", "salt 2");
    CU_ASSERT(gr_spec_set(a, "plates", "x") == GR_EARG && a->plates == 3);
    expect_error(GR_EARG, "SweetPotato: argument plates: expected a whole number, found \"x\"", "plates x");
    CU_ASSERT(gr_spec_set(a, "plate", "2") == GR_ENAME);
    expect_error(GR_ENAME, "unknown option plate (did you mean plates?)", "plate");
    CU_ASSERT(gr_spec_set(a, "herb", "\"x") == GR_EARG && strcmp(a->herb, "sage") == 0);
    expect_error(GR_EARG, "ends with its quote", "quote");
    CU_ASSERT(gr_spec_set(a, "herb", NULL) == GR_EARG && gr_spec_set(NULL, "herb", "x") == GR_EARG);
    expect_error(GR_EARG, "found NULL", "NULL");
    gr_spec_free(a);
}

static void snake_case_is_that_of_keras(void)
{
    /* what the two substitutions of Keras 3's to_snake_case give in Python */
    static const char *const rows[][2] = {{"BatchNormalization", "batch_normalization"}, {"Dense", "dense"},
        {"ReLU", "re_lu"}, {"PReLU", "p_re_lu"}, {"LSTM", "lstm"}, {"GRU", "gru"}, {"Conv2D", "conv2d"},
        {"Conv2DTranspose", "conv2d_transpose"}, {"KLDivergence", "kl_divergence"},
        {"ReduceLROnPlateau", "reduce_lr_on_plateau"}, {"AUC", "auc"}, {"MaxPooling2D", "max_pooling2d"},
        {"RMSprop", "rm_sprop"}, {"AdamW", "adam_w"}, {"TextVectorization", "text_vectorization"},
        {"My-Layer x", "my_layerx"}, {"a", "a"}, {"", ""}, {"aB", "a_b"}, {"ABc", "a_bc"},
        {"LayerNormalization", "layer_normalization"}, {"ELU", "elu"}, {"GELU", "gelu"}, {"SGD", "sgd"},
        {"MeanSquaredError", "mean_squared_error"}, {"_Private", "__private"}};
    char buf[64], tiny[6];
    for (size_t i = 0; i < COUNT(rows); i++)
        GR_EXPECT(strcmp(gr_snake_case(rows[i][0], buf, sizeof buf), rows[i][1]) == 0, "%s: found %s, expected %s",
            rows[i][0], buf, rows[i][1]);
    CU_ASSERT_STRING_EQUAL(gr_snake_case("BatchNormalization", tiny, sizeof tiny), "batch");
}

typedef struct {
    dish base;
    int n;
    float x;
    bool on;
    int e;
} Bad_spec;

static void a_table_in_which_0_would_be_lost_is_found(void)
{
    static const struct {
        const char *why;
        gr_field field[2];
        const char *part; /* NULL: nothing wrong */
    } rows[] = {
        {"0 is its own default", {GR_INT(Bad_spec, n)}, NULL},
        {"default 5, 0 is meaningful", {GR_INT(Bad_spec, n, .def = 5)}, "takes 0 for its default"},
        {"default 5, 0 is out of range", {GR_INT(Bad_spec, n, .def = 5, .min = 1)}, NULL},
        {"default 0.5, open range", {GR_FLOAT(Bad_spec, x, .def = 0.5, .above_min = true)}, NULL},
        {"default 0.5, closed range", {GR_FLOAT(Bad_spec, x, .def = 0.5, .has_min = true, .max = 1)}, "takes 0"},
        {"with a flag", {GR_FLOAT(Bad_spec, x, .def = 0.5, .has_min = true, .flag = GR_FLAG(Bad_spec, on))}, NULL},
        {"required, 0 is possible", {GR_INT(Bad_spec, n, .required = true, .has_min = true)}, "takes 0"},
        {"required, 0 is refused aloud", {GR_INT(Bad_spec, n, .required = true)}, NULL},
        {"required, 0 is not", {GR_INT(Bad_spec, n, .required = true, .min = 1)}, NULL},
        {"a bool that is true", {GR_BOOL(Bad_spec, on, .def = 1)}, "false cannot be asked for"},
        {"a default outside", {GR_INT(Bad_spec, n, .def = 5, .min = 6)}, "default outside its range"},
        {"an enum without names", {GR_ENUM_FIELD(Bad_spec, e)}, "enum without names"},
        {"beyond the struct", {{.name = "q", .type = GR_FIELD_INT, .offset = sizeof(Bad_spec) - 2}}, "lies outside"},
        {"no type", {{.name = "q"}}, "has no type"},
    };
    char buf[200];
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *fault = gr_fields_fault(rows[i].field, sizeof(Bad_spec), buf, sizeof buf);
        GR_EXPECT(rows[i].part ? fault && strstr(fault, rows[i].part) : !fault, "%s: found %s", rows[i].why,
            fault ? fault : "nothing");
    }
    static const gr_field twice[] = {GR_INT(Bad_spec, n), GR_INT(Bad_spec, n), {0}};
    const char *fault = gr_fields_fault(twice, sizeof(Bad_spec), buf, sizeof buf);
    CU_ASSERT(fault && strstr(fault, "field n occurs twice"));
    for (const gr_kind_entry *k = dishes; k->kind; k++)
        CU_ASSERT_PTR_NULL(gr_fields_fault(k->kind->fields, k->kind->size, buf, sizeof buf));
}

/* An allocator that fails at a given call. */
static int64_t calls_left;
static void *failing_alloc(void *user, size_t bytes)
{
    (void)user;
    return calls_left-- > 0 ? malloc(bytes) : NULL;
}
static void *failing_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    return calls_left-- > 0 ? realloc(old, bytes) : NULL;
}
static void plain_free(void *user, void *old)
{
    (void)user;
    free(old);
}

static void running_out_of_memory_leaks_nothing(void)
{
    gr_set_allocator(&(gr_allocator){failing_alloc, failing_resize, plain_free, NULL});
    int failures = 0;
    for (int64_t k = 0;; k++) {
        calls_left = k;
        void *a = gr_spec_copy(SweetPotato(1, .herb = "x", .side = SweetPotato(2)));
        void *b = a ? gr_spec_parse("yam(3, herb=abc)", dishes, "dish", GR_HERE) : NULL;
        gr_spec_free(a);
        if (b) {
            gr_spec_free(b);
            break;
        }
        failures++;
        GR_EXPECT(gr_error() == GR_EMEM, "allocation %d: %s", (int)k, gr_error_message());
        gr_error_clear();
    }
    gr_set_allocator(NULL);
    CU_ASSERT(failures >= 6); /* two specs, two herbs, the parsed one and its herb */
}

GR_SUITE("core/kind.c", GR_TEST(a_copy_has_the_defaults_and_owns_its_texts),
    GR_TEST(a_presence_flag_lets_0_be_asked_for), GR_TEST(nested_specs_are_copied_too),
    GR_TEST(impossible_values_name_kind_field_and_range), GR_TEST(text_gives_what_differs_from_the_default),
    GR_TEST(text_parses_back_to_an_equal_spec), GR_TEST(names_and_options_may_be_spelled_in_these_ways),
    GR_TEST(texts_that_are_wrong_say_why), GR_TEST(every_cut_of_a_text_is_taken_or_refused_cleanly),
    GR_TEST(setting_an_option_keeps_the_old_value_on_failure), GR_TEST(snake_case_is_that_of_keras),
    GR_TEST(a_table_in_which_0_would_be_lost_is_found), GR_TEST(running_out_of_memory_leaks_nothing))
