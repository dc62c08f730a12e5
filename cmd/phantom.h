/* cmd/phantom.h: the pictures of the samples. Pure: pixel values from coordinates, integers only,
 * the same on every machine. */
#pragma once

#include <stdint.h>

/* Hounsfield units + 1024 of a chest, slice `z` of `depth`, in a picture of `size` x `size`. */
void vt_phantom_chest(uint16_t *out, int size, int z, int depth);
/* Signal of a head, 0 to 4095. */
void vt_phantom_head(uint16_t *out, int size, int z, int depth);
/* One frame of an ultrasound loop: a fan with a beating ring, 0 to 255. */
void vt_phantom_heart(uint8_t *out, int width, int height, int frame, int frames);
/* A radiograph of a hand: 0 to 4095. */
void vt_phantom_hand(uint16_t *out, int size);
