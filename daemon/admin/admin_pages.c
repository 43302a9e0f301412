/*
 * The page at /admin/: the build that the npm package @socket.io/admin-ui brings, as it is, but for two links of its index.html. They would
 * load icons and a font from other sites, which an operator's console must not do: the icons come from the package @mdi/font, installed beside
 * it, the font is the browser's. Its routes are in the fragment ("/admin/#/sockets/"), so every path is a file. Runs at the start.
 */
#include "admin/admin_internal.h"
#include "http/static_files.h"
#include <stdio.h>

#ifndef CONVENE_ADMIN_UI_DIR
#define CONVENE_ADMIN_UI_DIR "/usr/share/convene/admin"
#endif
#ifndef CONVENE_ADMIN_ICONS_DIR
#define CONVENE_ADMIN_ICONS_DIR "/usr/share/convene/icons"
#endif

/* Vuetify writes its theme into a <style> element. Nothing is let in from elsewhere, and no other site may frame the console. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' "     \
    "data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "            \
    "frame-ancestors 'none'"

#define ICONS_AT   "/icons"
#define ICONS_LINK "https://cdn.jsdelivr.net/npm/@mdi/font@latest/css/materialdesignicons.min.css"
#define FONT_LINK                                                                                  \
    "<link rel=\"stylesheet\" "                                                                    \
    "href=\"https://fonts.googleapis.com/css?family=Roboto:100,300,400,500,700,900\">"

static void add_icons(struct static_files *pages)
{
    if (!static_files_add_file(pages, ICONS_AT "/css/materialdesignicons.min.css",
                               CONVENE_ADMIN_ICONS_DIR "/css/materialdesignicons.min.css") ||
        !static_files_add_file(pages, ICONS_AT "/fonts/materialdesignicons-webfont.woff2",
                               CONVENE_ADMIN_ICONS_DIR "/fonts/materialdesignicons-webfont.woff2"))
        fprintf(stderr, "convened: the admin UI goes without icons\n");
}

struct static_files *admin_pages_load(const struct config *config)
{
    const char *dir = config->admin.ui_dir != NULL ? config->admin.ui_dir : CONVENE_ADMIN_UI_DIR;
    struct static_files *pages = static_files_new("/admin", POLICY);
    if (pages == NULL || !static_files_add(pages, "", dir) ||
        !static_files_replace(pages, "/index.html", FONT_LINK, "") ||
        !static_files_replace(pages, "/index.html", ICONS_LINK,
                              "icons/css/materialdesignicons.min.css")) {
        static_files_free(pages);
        return NULL;
    }
    add_icons(pages);
    static_files_seal(pages);
    return pages;
}
