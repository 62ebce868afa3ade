/* The field tables of every kind and of every op's attributes: 0 is taken for the default only where 0 means nothing,
 * and every default text parses back. */
#include "callbacks/callbacks.h"
#include "core/op.h"
#include "models/layers/layers.h"
#include "models/loss.h"
#include "optim/optimizer.h"
#include "tests/harness.h"
#include <string.h>

static const struct {
    const char *family;
    const gr_kind_entry *kinds;
} families[] = {{"layer", gr__layers}, {"optimizer", gr__optimizers}, {"loss", gr__losses}, {"metric", gr__metrics},
    {"callback", gr__callbacks}};

static void no_kind_takes_a_meaningful_0_for_its_default(void)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const gr_kind_entry *k = families[i].kinds; k->kind; k++) {
            char buf[300];
            const char *fault = gr_fields_fault(k->kind->fields, k->kind->size, buf, sizeof buf);
            GR_EXPECT(!fault, "%s %s: %s", families[i].family, k->kind->name, fault);
        }
}

static void every_kind_knows_its_family_and_has_a_name_of_its_own(void)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const gr_kind_entry *k = families[i].kinds; k->kind; k++) {
            bool own = k->kind->family && strcmp(k->kind->family, families[i].family) == 0;
            bool loss = k->kind->family && strcmp(k->kind->family, "loss") == 0; /* losses are metrics too */
            GR_EXPECT(own || (loss && families[i].kinds == gr__metrics), "%s: family %s", k->kind->name,
                k->kind->family ? k->kind->family : "none");
            for (const gr_kind_entry *other = families[i].kinds; other != k; other++)
                GR_EXPECT(strcmp(other->kind->name, k->kind->name) != 0, "%s %s occurs twice", families[i].family,
                    k->kind->name);
        }
}

static void no_op_attribute_lies_outside_its_struct(void)
{
    int n = 0;
    for (const gr_op *op; (op = gr_op_at(n)); n++)
        for (const gr_field *f = op->attrs; f && f->name; f++) {
            GR_EXPECT(f->type != GR_FIELD_END && f->offset < op->attr_size && f->flag <= op->attr_size, "%s: %s",
                op->name, f->name);
            GR_EXPECT(gr_field_find(op->attrs, f->name) == f, "%s: %s occurs twice", op->name, f->name);
        }
    CU_ASSERT(n > 40);
}

GR_SUITE("field tables", GR_TEST(no_kind_takes_a_meaningful_0_for_its_default),
    GR_TEST(every_kind_knows_its_family_and_has_a_name_of_its_own), GR_TEST(no_op_attribute_lies_outside_its_struct))
