#include "base/random.h"
#include "check.h"

static void the_same_seed_gives_the_same_run(void)
{
    struct rng a, b, c;
    int same = 0;

    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t x = rng_next(&a);

        CHECK(x == rng_next(&b));
        same += x == rng_next(&c);
    }
    CHECK(same == 0);
}

static void the_generator_is_xoshiro256_starstar(void)
{
    struct rng r = {{1, 2, 3, 4}};

    CHECK(rng_next(&r) == 11520 && rng_next(&r) == 0 && rng_next(&r) == 1509978240);
}

static void numbers_below_a_bound_are_evenly_spread(void)
{
    struct rng r;
    unsigned seen[6] = {0};
    double sum = 0;

    rng_seed(&r, 0);
    for (int i = 0; i < 60000; i++) {
        uint64_t x = rng_below(&r, 6);
        double u = rng_unit(&r);

        CHECK(x < 6 && u >= 0 && u < 1);
        seen[x % 6]++;
        sum += u;
    }
    for (int i = 0; i < 6; i++)
        CHECK(seen[i] > 9500 && seen[i] < 10500);
    CHECK(sum > 29500 && sum < 30500);
    CHECK(rng_below(&r, 1) == 0);
}

int main(void)
{
    RUN(the_same_seed_gives_the_same_run);
    RUN(the_generator_is_xoshiro256_starstar);
    RUN(numbers_below_a_bound_are_evenly_spread);
    return DONE();
}
