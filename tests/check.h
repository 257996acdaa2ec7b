/* check.h: the unit tests' framework. A test is a function whose name is a sentence. */
#pragma once

#include <stdio.h>
#include <string.h>

static int check_failures;
static int check_tests_passed, check_tests_failed;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("  %s:%d: %s\n", __FILE__, __LINE__, #condition);                               \
            check_failures++;                                                                      \
        }                                                                                          \
    } while (0)

#define RUN(test)                                                                                  \
    do {                                                                                           \
        check_failures = 0;                                                                        \
        test();                                                                                    \
        if (check_failures) {                                                                      \
            check_tests_failed++;                                                                  \
            printf("FAILED %s\n", #test);                                                          \
        } else {                                                                                   \
            check_tests_passed++;                                                                  \
        }                                                                                          \
    } while (0)

#define DONE()                                                                                     \
    (printf("%d passed, %d failed\n", check_tests_passed, check_tests_failed),                     \
     check_tests_failed != 0)
