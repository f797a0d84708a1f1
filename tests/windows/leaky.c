/* Control of the tests: a program that forgets to close an endpoint and to free an answer. The doubles must tell of both.
 *
 * usage: leaky.exe GUID
 */
#include <stdio.h>

#include "policy/hns.h"
#include "policy/hns_library.h"

int main(int argc, char **argv)
{
    struct guid id;
    struct diag d = {0};
    struct hns_endpoint_handle *forgotten = NULL;
    const struct hns_library *library = NULL;
    wchar_t *answer = NULL;
    if (argc != 2 || guid_parse(argv[1], &id, &d) < 0 ||
        hns_endpoint_open(&id, &forgotten, &d) < 0 || hns_library(&library, &d) < 0) {
        fprintf(stderr, "%s\n", d.text);
        return 1;
    }
    return library->call(L"GET", L"/globals/version", L"", &answer) == S_OK ? 0 : 1;
}
