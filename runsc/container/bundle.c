/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/bundle.c: reading BUNDLE/config.json.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "runsc/container/container.h"

int bundle_load(struct cli *cli, const char *bundle, json_t **ret_config, struct spec **ret_spec,
                struct err **err) {
    cleanup(freep) char *text = NULL;
    cleanup(json_decrefp) json_t *config = NULL;
    size_t size;
    cleanup(closep) int dir = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        return err_set(err, errno, "bundle.missing", "opening the bundle %s", bundle);
    int r = read_text_file(dir, "config.json", SPEC_MAX_BYTES, &text, &size, err);
    if (r >= 0)
        r = spec_load_json(text, size, "config.json", &config, err);
    if (r >= 0)
        r = spec_parse(config, ret_spec, err);
    if (r < 0)
        return err_wrap(err, r, "bundle %s", bundle);
    for (size_t i = 0; i < (*ret_spec)->warnings.count; i++)
        cli_warn(cli, "config.json: %s", (*ret_spec)->warnings.items[i]);
    *ret_config = TAKE(config);
    return 0;
}
