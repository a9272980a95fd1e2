// SPDX-License-Identifier: BSL-1.0
// Owns main of the test programs: doctest's, but a filter that no test passes is a failure. The
// tests of one source are chosen by its name, and a name that has changed would test nothing.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

namespace {

unsigned run_by_doctest = 0;

struct counting : doctest::IReporter {
    explicit counting(const doctest::ContextOptions& /*options*/) {}
    void report_query(const doctest::QueryData& q) override {
        if (q.run_stats != nullptr) {
            run_by_doctest = q.run_stats->numTestCasesPassingFilters;
        }
    }
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats& s) override {
        run_by_doctest = s.numTestCasesPassingFilters;
    }
    void test_case_start(const doctest::TestCaseData& /*in*/) override {}
    void test_case_reenter(const doctest::TestCaseData& /*in*/) override {}
    void test_case_end(const doctest::CurrentTestCaseStats& /*in*/) override {}
    void test_case_exception(const doctest::TestCaseException& /*in*/) override {}
    void subcase_start(const doctest::SubcaseSignature& /*in*/) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData& /*in*/) override {}
    void log_message(const doctest::MessageData& /*in*/) override {}
    void test_case_skipped(const doctest::TestCaseData& /*in*/) override {}
};
REGISTER_LISTENER("counting", 1, counting);

}  // namespace

int main(int argc, char** argv) {
    doctest::Context context(argc, argv);
    const int status = context.run();
    if (context.shouldExit()) {  // a query, such as --list-test-cases
        return status;
    }
    // Without a filter there is nothing wrong: ThreadSanitizer leaves some programs without a test.
    if (run_by_doctest == 0 && argc > 1) {
        std::fprintf(stderr, "no test passes the filters\n");
        return 1;
    }
    return status;
}
