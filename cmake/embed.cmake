# Writes OUT: a C file that holds each of FILES (paths below ROOT) by .incbin, and their table.
set(text "#include \"lua/embed.h\"\n")
set(table "")
set(n 0)
foreach(file IN LISTS FILES)
  file(RELATIVE_PATH name ${ROOT} ${file})
  string(APPEND text "__asm__(\".section .rodata\\n.balign 8\\nembedded_${n}:\\n.incbin \\\"${file}\\\"\\nembedded_${n}_end:\\n.byte 0\\n.previous\\n\");\n"
    "extern const char embedded_${n}[], embedded_${n}_end[];\n")
  string(APPEND table "    {\"${name}\", embedded_${n}, embedded_${n}_end},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE ${OUT} "${text}\nconst struct embedded_file embedded_files[] = {\n${table}};\nconst size_t embedded_file_count = ${n};\n")
