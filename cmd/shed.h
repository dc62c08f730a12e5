/* cmd/shed.h: memory that only the start of a program needed goes back to the system. */
#pragma once

/* Freed heap, and the pages of code that libraries ran while they set themselves up: those come back from the page
 * cache when they are needed. Writable and relocated pages stay. Any time, any thread; below a millisecond. */
void vt_shed_start(void);
