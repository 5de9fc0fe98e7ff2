"""The papers behind each step, as a reference list and as BibTeX; only those that a run used."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Entry type, authors as BibTeX has them, short form in the text, and the other fields.
LIBRARY: dict[str, tuple[str, str, str, dict[str, str]]] = {
    "cislex": (
        "misc", "{The cislex authors}", "The cislex authors, 2026",
        {"title": "cislex: the cis-regulatory lexicon that a trained {DNA} sequence model has learned",
         "year": "2026"},
    ),
    "shrikumar2017deeplift": (
        "inproceedings", "Shrikumar, Avanti and Greenside, Peyton and Kundaje, Anshul",
        "Shrikumar et al., 2017",
        {"title": "Learning Important Features Through Propagating Activation Differences", "year": "2017",
         "booktitle": "Proceedings of the 34th International Conference on Machine Learning",
         "pages": "3145--3153", "doi": "10.48550/arXiv.1704.02685"},
    ),
    "lundberg2017shap": (
        "inproceedings", "Lundberg, Scott M. and Lee, Su-In", "Lundberg and Lee, 2017",
        {"title": "A Unified Approach to Interpreting Model Predictions", "year": "2017",
         "booktitle": "Advances in Neural Information Processing Systems 30", "pages": "4765--4774",
         "doi": "10.48550/arXiv.1705.07874"},
    ),
    "sundararajan2017ig": (
        "inproceedings", "Sundararajan, Mukund and Taly, Ankur and Yan, Qiqi", "Sundararajan et al., 2017",
        {"title": "Axiomatic Attribution for Deep Networks", "year": "2017",
         "booktitle": "Proceedings of the 34th International Conference on Machine Learning",
         "pages": "3319--3328", "doi": "10.48550/arXiv.1703.01365"},
    ),
    "erion2021expected": (
        "article",
        "Erion, Gabriel and Janizek, Joseph D. and Sturmfels, Pascal and Lundberg, Scott M. and Lee, Su-In",
        "Erion et al., 2021",
        {"title": "Improving performance of deep learning models with axiomatic attribution priors and "
         "expected gradients", "journal": "Nature Machine Intelligence", "year": "2021", "volume": "3",
         "pages": "620--631", "doi": "10.1038/s42256-021-00343-w"},
    ),
    "simonyan2013saliency": (
        "misc", "Simonyan, Karen and Vedaldi, Andrea and Zisserman, Andrew", "Simonyan et al., 2013",
        {"title": "Deep Inside Convolutional Networks: Visualising Image Classification Models and "
         "Saliency Maps",
         "year": "2013", "doi": "10.48550/arXiv.1312.6034"},
    ),
    "majdandzic2023correction": (
        "article", "Majdandzic, Antonio and Rajesh, Chandana and Koo, Peter K.", "Majdandzic et al., 2023",
        {"title": "Correcting gradient-based interpretations of deep neural networks for genomics",
         "journal": "Genome Biology", "year": "2023", "volume": "24", "pages": "109",
         "doi": "10.1186/s13059-023-02956-3"},
    ),
    "sasse2024tism": (
        "article", "Sasse, Alexander and Chikina, Maria and Mostafavi, Sara", "Sasse et al., 2024",
        {"title": "Quick and effective approximation of in silico saturation mutagenesis experiments with "
         "first-order {T}aylor expansion", "journal": "iScience", "year": "2024", "volume": "27",
         "pages": "110807", "doi": "10.1016/j.isci.2024.110807"},
    ),
    "zhou2015deepsea": (
        "article", "Zhou, Jian and Troyanskaya, Olga G.", "Zhou and Troyanskaya, 2015",
        {"title": "Predicting effects of noncoding variants with deep learning-based sequence model",
         "journal": "Nature Methods", "year": "2015", "volume": "12", "pages": "931--934",
         "doi": "10.1038/nmeth.3547"},
    ),
    "altschul1985shuffle": (
        "article", "Altschul, Stephen F. and Erickson, Bruce W.", "Altschul and Erickson, 1985",
        {"title": "Significance of nucleotide sequence alignments: a method for random sequence permutation "
         "that preserves dinucleotide and codon usage", "journal": "Molecular Biology and Evolution",
         "year": "1985", "volume": "2", "pages": "526--538", "doi": "10.1093/oxfordjournals.molbev.a040370"},
    ),
    "shrikumar2018modisco": (
        "misc", "Shrikumar, Avanti and others", "Shrikumar et al., 2018",
        {"title": "Technical Note on Transcription Factor Motif Discovery from Importance Scores "
         "({TF-MoDISco}) version 0.5.6.5", "year": "2018", "doi": "10.48550/arXiv.1811.00416"},
    ),
    "modiscolite": (
        "misc", "Schreiber, Jacob", "Schreiber",
        {"title": "tfmodisco-lite", "howpublished": r"\url{https://github.com/jmschrei/tfmodisco-lite}"},
    ),
    "traag2019leiden": (
        "article", "Traag, V. A. and Waltman, L. and van Eck, N. J.", "Traag et al., 2019",
        {"title": "From {L}ouvain to {L}eiden: guaranteeing well-connected communities",
         "journal": "Scientific Reports", "year": "2019", "volume": "9", "pages": "5233",
         "doi": "10.1038/s41598-019-41695-z"},
    ),
    "gupta2007tomtom": (
        "article",
        "Gupta, Shobhit and Stamatoyannopoulos, John A. and Bailey, Timothy L. and Noble, William Stafford",
        "Gupta et al., 2007",
        {"title": "Quantifying similarity between motifs", "journal": "Genome Biology", "year": "2007",
         "volume": "8", "pages": "R24", "doi": "10.1186/gb-2007-8-2-r24"},
    ),
    "grant2011fimo": (
        "article", "Grant, Charles E. and Bailey, Timothy L. and Noble, William Stafford",
        "Grant et al., 2011",
        {"title": "{FIMO}: scanning for occurrences of a given motif", "journal": "Bioinformatics",
         "year": "2011", "volume": "27", "pages": "1017--1018", "doi": "10.1093/bioinformatics/btr064"},
    ),
    "jaspar2026": (
        "article", "Ovek Baydar, Damla and Rauluseviciute, Ieva and others", "Ovek Baydar et al., 2026",
        {"title": "{JASPAR} 2026: expansion of transcription factor binding profiles and integration of deep "
         "learning models", "journal": "Nucleic Acids Research", "year": "2026", "volume": "54",
         "pages": "D184--D193", "doi": "10.1093/nar/gkaf1209"},
    ),
    "jaspar2024": (
        "article", "Rauluseviciute, Ieva and others", "Rauluseviciute et al., 2024",
        {"title": "{JASPAR} 2024: 20th anniversary of the open-access database of transcription factor "
         "binding profiles", "journal": "Nucleic Acids Research", "year": "2024", "volume": "52",
         "pages": "D174--D182", "doi": "10.1093/nar/gkad1059"},
    ),
    "jaspar2022": (
        "article", "Castro-Mondragon, Jaime A. and others", "Castro-Mondragon et al., 2022",
        {"title": "{JASPAR} 2022: the 9th release of the open-access database of transcription factor "
         "binding profiles", "journal": "Nucleic Acids Research", "year": "2022", "volume": "50",
         "pages": "D165--D173", "doi": "10.1093/nar/gkab1113"},
    ),
    "finemo": (
        "misc", "Wang, Austin and Kundaje, Anshul", "Wang and Kundaje",
        {"title": "{Fi-NeMo}: finding neural network motifs",
         "howpublished": r"\url{https://github.com/kundajelab/Fi-NeMo}"},
    ),
    "avsec2021bpnet": (
        "article", "Avsec, {\\v{Z}}iga and others", "Avsec et al., 2021",
        {"title": "Base-resolution models of transcription-factor binding reveal soft motif syntax",
         "journal": "Nature Genetics", "year": "2021", "volume": "53", "pages": "354--366",
         "doi": "10.1038/s41588-021-00782-6"},
    ),
    "pampari2024chrombpnet": (
        "misc", "Pampari, Anusri and others", "Pampari et al., 2024",
        {"title": "{ChromBPNet}: bias factorized, base-resolution deep learning models of chromatin "
         "accessibility reveal cis-regulatory sequence syntax, transcription factor footprints and "
         "regulatory variants", "year": "2024", "howpublished": "bioRxiv",
         "doi": "10.1101/2024.12.25.630221"},
    ),
    "zhou2018expecto": (
        "article", "Zhou, Jian and others", "Zhou et al., 2018",
        {"title": "Deep learning sequence-based ab initio prediction of variant effects on expression and "
         "disease risk", "journal": "Nature Genetics", "year": "2018", "volume": "50",
         "pages": "1171--1179", "doi": "10.1038/s41588-018-0160-6"},
    ),
    "kelley2016basset": (
        "article", "Kelley, David R. and Snoek, Jasper and Rinn, John L.", "Kelley et al., 2016",
        {"title": "Basset: learning the regulatory code of the accessible genome with deep convolutional "
         "neural networks", "journal": "Genome Research", "year": "2016", "volume": "26",
         "pages": "990--999", "doi": "10.1101/gr.200535.115"},
    ),
    "dealmeida2022deepstarr": (
        "article", "de Almeida, Bernardo P. and others", "de Almeida et al., 2022",
        {"title": "{DeepSTARR} predicts enhancer activity from {DNA} sequence and enables the de novo design "
         "of synthetic enhancers", "journal": "Nature Genetics", "year": "2022", "volume": "54",
         "pages": "613--624", "doi": "10.1038/s41588-022-01048-5"},
    ),
    "paszke2019pytorch": (
        "inproceedings", "Paszke, Adam and others", "Paszke et al., 2019",
        {"title": "{PyTorch}: An Imperative Style, High-Performance Deep Learning Library", "year": "2019",
         "booktitle": "Advances in Neural Information Processing Systems 32", "pages": "8024--8035",
         "doi": "10.48550/arXiv.1912.01703"},
    ),
    "molder2021snakemake": (
        "article", "M{\\\"o}lder, Felix and others", "Mölder et al., 2021",
        {"title": "Sustainable data analysis with {S}nakemake", "journal": "F1000Research", "year": "2021",
         "volume": "10", "pages": "33", "doi": "10.12688/f1000research.29032.2"},
    ),
}  # fmt: skip

_PLAIN = str.maketrans({"{": "", "}": "", "\\": ""})


@dataclass
class Bibliography:
    """Collects what is cited, in the order of the text."""

    keys: list[str] = field(default_factory=list)

    def cite(self, *keys: str) -> str:
        """Return ``Shrikumar et al., 2017; Lundberg and Lee, 2017`` and remember the keys."""
        for key in keys:
            if key not in self.keys:
                self.keys.append(key)
        return "; ".join(LIBRARY[key][2] for key in keys)

    @property
    def bibtex(self) -> str:
        """Every entry that was cited."""
        entries = []
        for key in self.keys:
            kind, authors, _, fields = LIBRARY[key]
            lines = [f"  {name} = {{{value}}}" for name, value in {"author": authors, **fields}.items()]
            entries.append(f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}")
        return "\n\n".join(entries)

    @property
    def references(self) -> list[tuple[str, str]]:
        """Each as a line of a reference list, and its DOI or empty; by name."""
        lines = [_line(*LIBRARY[key]) for key in self.keys]
        return sorted(lines)


def _line(kind: str, authors: str, short: str, fields: dict[str, str]) -> tuple[str, str]:
    names = short.rsplit(",", 1)[0]
    year = f" ({fields['year']})" if "year" in fields else ""
    where = fields.get("journal") or fields.get("booktitle") or fields.get("howpublished", "")
    where = where.removeprefix(r"\url").translate(_PLAIN)
    if "volume" in fields:
        where += f" {fields['volume']}"
    if "pages" in fields:
        where += f"{':' if 'volume' in fields else ', '}{fields['pages'].replace('--', '–')}"
    where = f" {where}." if where else ""
    return f"{names}{year} {fields['title'].translate(_PLAIN)}.{where}", fields.get("doi", "")
