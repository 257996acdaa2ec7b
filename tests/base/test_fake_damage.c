#include "files.h"

static void damage_changes_just_what_it_says(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;

    fake_disk_init(&f);
    put(d, open_at(d, "x"), 0, "0123456789");
    CHECK(fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_FLIP, 2, 9, 1}));
    CHECK(holds(&f, "x", "0133456789"));
    CHECK(fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_GARBLE, 8, 100, 1}));
    CHECK(holds(&f, "x", "0133456798"));
    CHECK(fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_CUT, 6, 0, 1}));
    CHECK(holds(&f, "x", "013345"));
    CHECK(fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_ZERO, 4, 1, 1}));
    CHECK(holds(&f, "x", "0133"));
    CHECK(!fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_ZERO, 4, 1, 1}));
    CHECK(!fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_FLIP, 6, 1, 1}));
    CHECK(!fake_disk_damage(&f, "y", &(struct fake_damage){FAKE_DAMAGE_FLIP, 0, 1, 1}));
    fake_disk_fini(&f);
}

static void a_drawn_damage_always_changes_the_file(void)
{
    struct fake_disk f;
    struct fake_damage damage;
    struct disk *d = &f.disk;
    struct rng rng;
    unsigned kinds[4] = {0};
    int fd;

    rng_seed(&rng, 6);
    fake_disk_init(&f);
    fd = open_at(d, "x");
    CHECK(!fake_disk_corrupt(&f, "x", &rng, &damage));
    for (int i = 0; i < 1000; i++) {
        char before[5000] = {'x'}, after[5000];
        size_t got;

        CHECK(d->pwrite(d, fd, before, sizeof(before), 0, NULL) == ERR_OK);
        CHECK(fake_disk_corrupt(&f, "x", &rng, &damage));
        CHECK(d->pread(d, fd, after, sizeof(after), 0, &got, NULL) == ERR_OK);
        CHECK(got < sizeof(before) || memcmp(before, after, got) != 0);
        kinds[damage.kind]++;
    }
    for (int i = 0; i < 4; i++)
        CHECK(kinds[i] > 30);
    CHECK(!fake_disk_corrupt(&f, "y", &rng, &damage));
    fake_disk_fini(&f);
}

int main(void)
{
    RUN(damage_changes_just_what_it_says);
    RUN(a_drawn_damage_always_changes_the_file);
    return DONE();
}
