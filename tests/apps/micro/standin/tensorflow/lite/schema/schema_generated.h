// The part of the schema of TensorFlow Lite that the stager uses.
#ifndef STANDIN_SCHEMA_GENERATED_H_
#define STANDIN_SCHEMA_GENERATED_H_

#include <cstdint>

namespace tflite {

class Model {
 public:
  std::uint32_t version() const;
};

inline const Model* GetModel(const void* content) { return static_cast<const Model*>(content); }

}  // namespace tflite

#endif  // STANDIN_SCHEMA_GENERATED_H_
