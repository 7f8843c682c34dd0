// JSON's classes, made once (json_instances.cpp) rather than in every file that reads them: under
// sanitizers such files compile in 75 to 88 % of the time. Precompiled headers include it; nothing
// else needs to.
#pragma once

#include <nlohmann/json.hpp>

extern template class nlohmann::basic_json<>;
extern template class nlohmann::basic_json<nlohmann::ordered_map>;
extern template class nlohmann::detail::serializer<nlohmann::json>;
extern template class nlohmann::detail::serializer<nlohmann::ordered_json>;
