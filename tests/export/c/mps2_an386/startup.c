/* Vectors and reset of the emulated board; newlib's crt0 does the rest. */

#include <stdint.h>

extern char __stack[];
void _start(void);
void reset(void);
void fail(void);

void reset(void) {
  *(volatile uint32_t *)0xE000ED88 |= 0xF << 20; /* enables the FPU */
  __asm__ volatile("dsb\n\tisb");
  _start();
}

/* Any fault ends here; the test's time limit reports it. */
void fail(void) {
  for (;;) {
  }
}

typedef void (*handler)(void);
__attribute__((section(".vectors"), used)) static const union {
  void *stack;
  handler call;
} vectors[16] = {{.stack = __stack}, {.call = reset}, {.call = fail}, {.call = fail},
                 {.call = fail},     {.call = fail},  {.call = fail}};
