/* Durations in buckets: every count, and no quantile further off than a bucket. */
#include "base/random.h"
#include "check.h"
#include "spanmetrics/histogram.h"

#include <math.h>
#include <stdlib.h>

enum { SIZE = 160, VALUES = 20000 };

static const struct histogram_shape exponential = {.unit_ns = 1e6, .buckets = SIZE};

static struct histogram *make(const struct histogram_shape *shape)
{
    struct histogram *h = malloc(histogram_bytes(shape));

    if (!h)
        abort();
    histogram_clear(h, shape);
    return h;
}

static uint64_t total(const struct histogram *h, const struct histogram_shape *shape)
{
    uint64_t sum = h->zero;

    for (unsigned i = 0; i < shape->buckets; i++)
        sum += h->counts[i];
    return sum;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Log-uniform from 10 us to `octaves` above. */
static uint64_t draw_duration(struct rng *rng, double octaves)
{
    return (uint64_t)(1e4 * exp2(octaves * rng_unit(rng)));
}

/* Every quantile of the sorted values lies in the bucket that the histogram has it in. */
static void check_quantiles(const struct histogram *h, const uint64_t *values, size_t count)
{
    uint64_t before = h->zero;

    for (int i = 0; i < SIZE; i++) {
        double low = exp2(ldexp(h->start + i, -h->scale));
        double high = exp2(ldexp(h->start + i + 1, -h->scale));
        bool is_right = before + h->counts[i] <= count;

        for (uint64_t v = before; is_right && v < before + h->counts[i]; v++)
            is_right = (double)values[v] / 1e6 > low * (1 - 1e-9) &&
                       (double)values[v] / 1e6 <= high * (1 + 1e-9);
        CHECK(is_right);
        before += h->counts[i];
    }
    CHECK(before == count);
}

static void each_quantile_is_in_the_bucket_that_says_so(void)
{
    static uint64_t values[VALUES];
    struct rng rng;

    for (int octaves = 1; octaves < 40; octaves += 9) {
        struct histogram *h = make(&exponential);

        rng_seed(&rng, (uint64_t)octaves);
        for (int i = 0; i < VALUES; i++) {
            values[i] = draw_duration(&rng, octaves);
            histogram_add(h, &exponential, values[i]);
        }
        qsort(values, VALUES, sizeof(values[0]), by_value);
        check_quantiles(h, values, VALUES);
        /* As fine as so many buckets allow: one scale more would need twice as many. */
        CHECK(octaves * exp2(h->scale + 1) > SIZE * 0.9);
        free(h);
    }
}

static void the_merge_of_parts_is_as_exact_as_the_whole(void)
{
    static uint64_t values[VALUES];
    struct histogram *parts[3] = {make(&exponential), make(&exponential), make(&exponential)};
    struct histogram *sum = make(&exponential);
    struct rng rng;

    rng_seed(&rng, 7);
    for (int i = 0; i < VALUES; i++) {
        int part = (int)rng_below(&rng, 3);

        /* Of different ranges, so that their scales differ. */
        values[i] = draw_duration(&rng, 2 + 12 * part);
        histogram_add(parts[part], &exponential, values[i]);
    }
    CHECK(parts[0]->scale > parts[1]->scale && parts[1]->scale > parts[2]->scale);
    for (int i = 0; i < 3; i++)
        histogram_merge(sum, &exponential, parts[i]);
    CHECK(sum->scale == parts[2]->scale);
    qsort(values, VALUES, sizeof(values[0]), by_value);
    check_quantiles(sum, values, VALUES);
    for (int i = 0; i < 3; i++)
        free(parts[i]);
    free(sum);
}

static void a_finer_part_may_come_into_a_coarser_sum_and_the_other_way(void)
{
    struct histogram *narrow = make(&exponential), *wide = make(&exponential);

    histogram_add(narrow, &exponential, 5000000);
    histogram_add(wide, &exponential, 1);
    histogram_add(wide, &exponential, UINT64_MAX);
    histogram_merge(wide, &exponential, narrow);
    CHECK(total(wide, &exponential) == 3);
    histogram_merge(narrow, &exponential, wide);
    CHECK(total(narrow, &exponential) == 4 && narrow->scale == wide->scale);
    free(narrow);
    free(wide);
}

/* The bounds of the model: (b^i, b^(i+1)]. */
static void a_power_of_two_is_the_upper_bound_of_its_bucket(void)
{
    for (int scale = 0; scale <= HISTOGRAM_SCALE_MAX; scale++) {
        CHECK(histogram_index(1, scale) == -1);
        CHECK(histogram_index(2, scale) == (1 << scale) - 1);
        CHECK(histogram_index(0.25, scale) == -2 * (1 << scale) - 1);
        CHECK(histogram_index(nextafter(4, 5), scale) >= 2 * (1 << scale) - 1);
        CHECK(histogram_index(4.1, scale) >= 2 * (1 << scale));
    }
    CHECK(histogram_index(3, 0) == 1 && histogram_index(3, 1) == 3 && histogram_index(2.5, 1) == 2);
}

static void the_longest_and_the_shortest_duration_fit_into_the_fewest_buckets(void)
{
    struct histogram_shape shape = {.unit_ns = 1e9, .buckets = HISTOGRAM_BUCKETS_MIN};
    struct histogram *h = make(&shape);

    for (int i = 0; i < 64; i++)
        histogram_add(h, &shape, UINT64_C(1) << i);
    histogram_add(h, &shape, UINT64_MAX);
    histogram_add(h, &shape, 0);
    CHECK(h->scale == 0 && h->zero == 1 && total(h, &shape) == 66);
    free(h);
}

static void a_value_that_is_a_bound_belongs_below_it(void)
{
    struct histogram_shape shape = {
        .unit_ns = 1e6, .buckets = 3, .explicit = true, .bounds_ns = {2000000, 10000000}};
    struct histogram *h = make(&shape), *sum = make(&shape);

    histogram_add(h, &shape, 0);
    histogram_add(h, &shape, 2000000);
    histogram_add(h, &shape, 2000001);
    histogram_add(h, &shape, 10000000);
    histogram_add(h, &shape, 10000001);
    histogram_add(h, &shape, UINT64_MAX);
    CHECK(h->counts[0] == 2 && h->counts[1] == 2 && h->counts[2] == 2 && h->zero == 0);
    histogram_merge(sum, &shape, h);
    histogram_merge(sum, &shape, h);
    CHECK(sum->counts[0] == 4 && sum->counts[1] == 4 && sum->counts[2] == 4);
    free(h);
    free(sum);
}

int main(void)
{
    RUN(each_quantile_is_in_the_bucket_that_says_so);
    RUN(the_merge_of_parts_is_as_exact_as_the_whole);
    RUN(a_finer_part_may_come_into_a_coarser_sum_and_the_other_way);
    RUN(a_power_of_two_is_the_upper_bound_of_its_bucket);
    RUN(the_longest_and_the_shortest_duration_fit_into_the_fewest_buckets);
    RUN(a_value_that_is_a_bound_belongs_below_it);
    return DONE();
}
