#include "cmd/phantom.h"

#include <stdbool.h>
#include <stddef.h>

/* All coordinates are thousandths of the picture's half width, from its middle: -1000 to 1000. */
struct ellipse {
    int x, y, rx, ry;
    int value;
};

static bool inside(const struct ellipse *ellipse, int x, int y)
{
    int64_t dx = (int64_t)(x - ellipse->x) * ellipse->ry,
            dy = (int64_t)(y - ellipse->y) * ellipse->rx;
    int64_t limit = (int64_t)ellipse->rx * ellipse->ry;

    return dx * dx + dy * dy <= limit * limit;
}

/* The last ellipse that holds the point wins. */
static int value_at(const struct ellipse *ellipses, size_t count, int x, int y, int outside)
{
    int value = outside;

    for (size_t i = 0; i < count; i++)
        if (ellipses[i].rx > 0 && inside(&ellipses[i], x, y))
            value = ellipses[i].value;
    return value;
}

/* A little grain, so that compression has something to do: -n to n. */
static int grain(int x, int y, int z, int n)
{
    uint32_t h = (uint32_t)x * 374761393u + (uint32_t)y * 668265263u + (uint32_t)z * 2246822519u;

    h = (h ^ (h >> 13)) * 1274126177u;
    return (int)((h ^ (h >> 16)) % (uint32_t)(2 * n + 1)) - n;
}

static int coordinate(int i, int size)
{
    return (2 * i + 1 - size) * 1000 / size;
}

static void draw(uint16_t *out, int size, int z, const struct ellipse *ellipses, size_t count,
                 int outside, int noise)
{
    for (int y = 0; y < size; y++) {
        for (int x = 0; x < size; x++) {
            int value =
                value_at(ellipses, count, coordinate(x, size), coordinate(y, size), outside) +
                grain(x, y, z, noise);
            out[y * size + x] = (uint16_t)(value < 0 ? 0 : value > 4095 ? 4095 : value);
        }
    }
}

void vt_phantom_chest(uint16_t *out, int size, int z, int depth)
{
    int middle = depth / 2, away = z > middle ? z - middle : middle - z;
    int lung = 330 - 330 * away * away / (middle * middle + 1);
    int heart = z > middle ? 220 - 220 * (z - middle) / (depth - middle) : 120 * z / (middle + 1);
    const struct ellipse ellipses[] = {
        { 0, 0, 880, 640, 1024 - 80 },          /* skin and fat */
        { 0, 0, 820, 580, 1024 + 45 },          /* muscle */
        { -400, -40, lung, lung * 4 / 3, 180 }, /* lungs */
        { 400, -40, lung, lung * 4 / 3, 180 },  { 70, -90, heart, heart, 1024 + 60 },
        { 0, 340, 110, 110, 1024 + 700 },                                        /* spine */
        { 0, 350, 45, 45, 1024 + 20 },          { 0, -520, 60, 30, 1024 + 500 }, /* breastbone */
        { -90, 230, 60, 60, 1024 + 180 }, /* aorta, with contrast */
    };

    draw(out, size, z, ellipses, sizeof ellipses / sizeof ellipses[0], 24, 12);
}

void vt_phantom_head(uint16_t *out, int size, int z, int depth)
{
    int middle = depth / 2, away = z > middle ? z - middle : middle - z;
    int scale = 1000 - 450 * away * away / (middle * middle + 1);
    int ventricle = away < depth / 4 ? 130 : 0;
    const struct ellipse ellipses[] = {
        { 0, 0, 700 * scale / 1000, 860 * scale / 1000, 2600 }, /* scalp */
        { 0, 0, 660 * scale / 1000, 820 * scale / 1000, 250 },  /* bone */
        { 0, 0, 620 * scale / 1000, 780 * scale / 1000, 1500 }, /* grey */
        { 0, 0, 540 * scale / 1000, 700 * scale / 1000, 2100 }, /* white */
        { -120, -60, ventricle * 2 / 3, ventricle * 2, 500 },
        { 120, -60, ventricle * 2 / 3, ventricle * 2, 500 },
        { 260, 240, away < depth / 6 ? 80 : 0, 60, 3400 }, /* a lesion */
    };

    draw(out, size, z, ellipses, sizeof ellipses / sizeof ellipses[0], 20, 25);
}

void vt_phantom_heart(uint8_t *out, int width, int height, int frame, int frames)
{
    /* A triangle wave: the ring opens and closes once in the loop. */
    int half = frames / 2 > 0 ? frames / 2 : 1;
    int phase = frame < half ? frame : frames - frame;
    int radius = 200 + 120 * phase / half;
    const struct ellipse ring[] = { { 0, 150, radius + 90, radius + 60, 170 },
                                    { 0, 150, radius, radius, 25 } };

    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            int cx = coordinate(x, width), cy = coordinate(y, height);
            int depth = cy + 1000, side = cx < 0 ? -cx : cx;
            bool fan = depth > 60 && side * 10 < depth * 6 && depth * depth + cx * cx < 3800000;
            int value = fan ? value_at(ring, 2, cx, cy, 70) + grain(x, y, frame, 24) : 0;
            out[y * width + x] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
}

void vt_phantom_hand(uint16_t *out, int size)
{
    const struct ellipse ellipses[] = {
        { 0, 420, 430, 460, 1500 },     { -330, -200, 105, 520, 1500 },
        { -110, -330, 105, 600, 1500 }, { 110, -300, 105, 580, 1500 },
        { 320, -150, 95, 480, 1500 },   { 520, 300, 110, 420, 1500 },
        { 0, 900, 260, 260, 1500 },     { -330, -350, 45, 170, 2900 },
        { -330, 40, 50, 190, 2900 },    { -110, -500, 45, 190, 2900 },
        { -110, -60, 50, 210, 2900 },   { 110, -470, 45, 180, 2900 },
        { 110, -50, 50, 200, 2900 },    { 320, -270, 42, 150, 2900 },
        { 320, 60, 48, 160, 2900 },     { 520, 180, 45, 150, 2900 },
        { -230, 430, 48, 200, 2900 },   { -80, 420, 48, 220, 2900 },
        { 80, 420, 48, 220, 2900 },     { 230, 430, 48, 200, 2900 },
        { -150, 730, 90, 70, 3000 },    { 20, 740, 90, 70, 3000 },
        { 170, 720, 80, 70, 3000 },     { -90, 930, 110, 130, 3050 },
        { 120, 930, 90, 130, 3050 },
    };

    draw(out, size, 0, ellipses, sizeof ellipses / sizeof ellipses[0], 300, 30);
}
