// See micro_interpreter.h, which declares what this header of the real library declares.
#pragma once
