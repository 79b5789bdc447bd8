#include "light_sernet_model.h"

_Alignas(16) const unsigned char light_sernet_model[LIGHT_SERNET_MODEL_BYTES] = {
$bytes
};

const char *const light_sernet_classes[LIGHT_SERNET_NUM_CLASSES] = {
$class_names
};
